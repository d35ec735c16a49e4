import pytest

from worker.contract import Scope, Scopes

ALLOWED = {
    "read": {"read"},
    "submit": {"submit"},
    "submit,read": {"read", "submit"},
    "operate": {"read", "submit", "operate"},
    "admin": {"read", "submit", "operate", "admin"},
}


@pytest.mark.parametrize(("names", "expected"), ALLOWED.items())
def test_what_scopes_allow(names: str, expected: set[str]) -> None:
    scopes = Scopes.of(names.split(","))
    assert {scope for scope in Scope if scopes.allow(scope)} == expected


def test_a_key_of_the_version_before_submits_and_reads() -> None:
    assert Scopes() == Scopes.of(["read", "submit"])
    assert str(Scopes()) == "read,submit"


@pytest.mark.parametrize("names", [[], [""], ["write"], ["read", "Submit"]])
def test_what_is_no_scope_is_refused_by_name(names: list[str]) -> None:
    with pytest.raises(ValueError, match="read, submit, operate, admin"):
        Scopes.of(names)
