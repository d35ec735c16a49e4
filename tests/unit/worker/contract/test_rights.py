from fnmatch import fnmatchcase

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.contract import Rights

WORD = st.from_regex(r"[a-z][a-z0-9_]{0,8}", fullmatch=True)
KIND = st.tuples(WORD, WORD).map(".".join)
PATTERN = st.just("*") | WORD.map("{}.*".format) | KIND


@pytest.mark.parametrize(
    ("pattern", "kind", "allowed"),
    [
        ("*", "email.send", True),
        ("email.*", "email.send", True),
        ("email.send", "email.send", True),
        ("email.send", "email.send_all", False),
        ("email.*", "emails.send", False),
        ("email.*", "web.email", False),
        ("mail.*", "email.send", False),
    ],
)
def test_a_pattern_stands_for_all_kinds_for_a_domains_or_for_one(
    pattern: str,
    kind: str,
    allowed: bool,  # noqa: FBT001 - parametrized
) -> None:
    assert Rights.of([pattern]).allow(kind) is allowed


def test_without_a_list_everything_may_be_submitted() -> None:
    assert Rights().allow("email.send")
    assert str(Rights()) == "*"


def test_rights_are_sorted_and_say_each_pattern_once() -> None:
    assert str(Rights.of(["web.fetch", "email.*", "web.fetch"])) == "email.*,web.fetch"


@pytest.mark.parametrize(
    "pattern",
    [
        "",
        " ",
        "email",
        "email.",
        ".send",
        "*.send",
        "email.se*",
        "email.**",
        "Email.*",
        "a.b.c",
        "email.send\n",
        "**",
    ],
)
def test_what_is_no_pattern_is_refused_with_what_is_one(pattern: str) -> None:
    with pytest.raises(ValueError, match=r"is no pattern of kinds: write \*, email\.\* or email\.send"):
        Rights.of(["email.*", pattern])


def test_rights_to_nothing_are_refused() -> None:
    with pytest.raises(ValueError, match="no pattern of kinds is given"):
        Rights.of([])


@given(KIND, st.lists(PATTERN, min_size=1))
def test_a_kind_is_allowed_where_one_of_the_patterns_alone_allows_it(kind: str, patterns: list[str]) -> None:
    alone = [Rights.of([pattern]).allow(kind) for pattern in patterns]
    assert Rights.of(patterns).allow(kind) == any(alone)


@given(KIND, PATTERN)
def test_a_pattern_means_what_a_shell_makes_of_it(kind: str, pattern: str) -> None:
    assert Rights.of([pattern]).allow(kind) == fnmatchcase(kind, pattern)


@given(st.lists(KIND, min_size=2, max_size=2, unique=True))
def test_a_kind_by_name_allows_no_other(kinds: list[str]) -> None:
    assert Rights.of(kinds[:1]).allow(kinds[0])
    assert not Rights.of(kinds[:1]).allow(kinds[1])
