import time
import tomllib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.definitions.lines import Lines

TEXT = '''\
# a comment with "quotes" and [brackets
title = "one"  # and another ' one
"quoted key" = 1

[tables.first]
sql = """
SELECT '[', "x" -- # no comment
FROM t\u2028"""
columns.a.total = true
list = [
  1,  # ]
  "]",
]
inline = { a = { b = 1 } }

[tables."second one"]
sql = \'\'\'
[tables.none]
title = 2 \'\'\'\'\'
last = """"quoted""""

[[many]]
name = "x"
'''


@pytest.mark.parametrize(
    ("path", "line"),
    [
        (("title",), 2),
        (("quoted key",), 3),
        (("tables",), 5),
        (("tables", "first"), 5),
        (("tables", "first", "sql"), 6),
        (("tables", "first", "columns", "a", "total"), 9),
        (("tables", "first", "list"), 10),
        (("tables", "first", "inline", "a", "b"), 14),
        (("tables", "second one"), 16),
        (("tables", "second one", "sql"), 17),
        (("tables", "second one", "last"), 20),
        (("many",), 22),
    ],
)
def test_a_key_is_found_on_the_line_where_its_statement_begins(path: tuple[str, ...], line: int) -> None:
    assert Lines(TEXT).of(path) == line


@pytest.mark.parametrize(
    ("path", "line"),
    [
        (("nothing",), 1),
        ((), 1),
        (("tables", "third"), 5),
        (("tables", "first", "missing"), 5),
        (("tables", "first", "inline", "a", "c"), 14),
        (("tables", "second one", "missing", "deeper"), 16),
        (("title", "deeper"), 2),
    ],
)
def test_a_missing_key_is_found_at_its_table(path: tuple[str, ...], line: int) -> None:
    assert Lines(TEXT).of(path) == line


def test_an_empty_file_has_one_line() -> None:
    assert Lines("").of(("a",)) == 1


def test_a_large_file_costs_no_more_than_its_lines() -> None:
    tables = "".join(f'[parameters.p{number}]\ntype = "text"\n' for number in range(10_000))
    text = tables + "sql = '''\n" + 'SELECT "[" -- \'\n' * 20_000 + "'''\n"
    began = time.process_time()
    assert Lines(text).of(("parameters", "p9999", "type")) == 20_000
    assert time.process_time() - began < 5  # quadratic, it would be minutes


KEYS = st.text("abc \n\"'#[]{}=.\\", min_size=1, max_size=6)
TEXTS = st.text("abc \n\"'#[]{}=\\,", max_size=12)


def basic(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'


def long(text: str) -> str:
    return '"""\n' + text.replace("\\", "\\\\").replace('"', '\\"') + '"""'


def one_of_a_list(text: str) -> str:
    return f"[\n  {basic(text)}, # ] [ \" '\n]"


@given(
    items=st.lists(
        st.tuples(KEYS, TEXTS, st.sampled_from([basic, long, one_of_a_list])),
        max_size=8,
        unique_by=lambda item: item[0],
    ),
    headed=st.booleans(),
)
def test_every_key_is_found_whatever_its_text(items: list[tuple[str, str, Any]], *, headed: bool) -> None:
    lines = ["[table]"] if headed else []
    expected = {}
    for key, text, form in items:
        expected[key] = "\n".join(lines).count("\n") + 2 if lines else 1
        lines.append(f"{basic(key)} = {form(text)}")
    document = "\n".join(lines)
    tomllib.loads(document)
    found = Lines(document)
    table = ("table",) if headed else ()
    assert {key: found.of((*table, key)) for key in expected} == expected
