"""Every fault of a file names its line and says what would be right."""

from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from sqlalchemy import text

from tests.unit.worker.definitions.folders import REPORT, STATEMENT, faults, good
from worker.definitions import checks


def of_source(folder: Path, text: str) -> list[str]:
    return [fault.removeprefix("sources/shop.toml:") for fault in faults(folder, {"sources/shop.toml": text})]


def of_statement(folder: Path, text: str) -> list[str]:
    found = faults(folder, good() | {"statements/see.toml": text})
    return [fault.removeprefix("statements/see.toml:") for fault in found]


def of_report(folder: Path, text: str) -> list[str]:
    found = faults(folder, good() | {"reports/orders/report.toml": text})
    return [fault.removeprefix("reports/orders/report.toml:") for fault in found]


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("description = \n", "1: Invalid value"),
        ("\n\nwhat is this\n", "3: Expected '=' after a key in a key/value pair"),
        ('description = "open\n', "1: Illegal character '\\n'"),
        ('description = """open\n\n', "1: Unterminated string"),
        ("[tables.a]\n[tables.a]\n", "2: Cannot declare"),
        ("statement_timeout = 2\nstatement_timeout = 3\n", "2: Cannot overwrite a value"),
        ("a = 2024-02-30\n", "1: Invalid date or datetime"),
        (f"a = {'1' * 5000}\n", "1: Exceeds the limit"),
        ("a = " + "[" * 10_000, "1: is nested too deeply"),
    ],
)
def test_what_is_no_toml(tmp_path: Path, text: str, fault: str) -> None:
    (found,) = of_source(tmp_path, text)
    assert found.startswith(fault)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (
            'discription = "x"\n',
            "1: there is no field `discription`; there are: description, statement_timeout, markers, tables",
        ),
        ("description = 1\n", "1: Expected `string`, got `integer`"),
        ("\nstatement_timeout = 0\n", "2: Expected `number` >= 0.001"),
        ("statement_timeout = inf\n", "1: Expected `number` <= 86400.0"),
        ('markers = "nowhere"\n', "1: Expected `string` matching regex"),
        ('markers = "a.b\\n"\n', "1: Expected `string` matching regex"),
        ("tables = 1\n", "1: Expected `object`, got `integer`"),
        ("[tables]\norders = 1\n", "2: expected a table"),
        ('[tables."a\\"b"]\n', "1: Expected `string` matching regex"),
        ("[tables.a]\n[tables.b]\nmodes = []\n", "3: Expected `array` of length >= 1"),
        (
            '[tables.a]\n\nmodes = ["append",\n "delete"]\n',
            "3: Invalid enum value 'delete'; allowed are: append, replace, upsert",
        ),
        ('[tables.a]\nmodes = ["upsert"]\n', "2: upsert needs `key`, the columns of a unique index"),
        ('[tables.a]\nkey = ["id"]\ncolumns = ["name"]\n', "3: must hold the columns of `key`"),
        ('[tables.a]\nkey = ["id; DROP TABLE x"]\n', "2: Expected `string` matching regex"),
    ],
)
def test_a_source(tmp_path: Path, text: str, fault: str) -> None:
    (found,) = of_source(tmp_path, text)
    assert found.startswith(fault)


def test_each_wrong_field_of_each_table_is_told(tmp_path: Path) -> None:
    text = "nope = 1\nstatement_timeout = 'x'\n[tables.a]\nmode = 1\nmodes = 1\n[tables.b]\nkey = 2\n"
    assert [int(fault.split(":")[0]) for fault in of_source(tmp_path, text)] == [1, 2, 4, 5, 7]


@pytest.mark.parametrize("name", ["url", "URL", "dsn", "password", "database_url", "api_key", "token"])
def test_a_secret_belongs_into_a_variable(tmp_path: Path, name: str) -> None:
    (found,) = of_source(tmp_path, f'{name} = "s3cret"\n')
    assert found.startswith(f"1: there is no field `{name}`: secrets stand in no file")
    assert "JOBYARD_SOURCE_<NAME>_URL" in found
    assert "s3cret" not in found


@pytest.mark.parametrize(
    "text",
    [
        'description = "postgresql://joe:s3cret@db/orders"\n',
        "description = '''\nsee\nmysql+x://joe:s3cret@db'''\n",
    ],
)
def test_a_password_in_a_text_is_found(tmp_path: Path, text: str) -> None:
    (found,) = of_source(tmp_path, text)
    assert found.startswith("1: holds a URL with a password: secrets stand in no file")
    assert "s3cret" not in found


def test_a_url_without_a_password_is_none(tmp_path: Path) -> None:
    text = 'description = "see https://example.test/a:b@c and joe@example.test"\nnope = 1\n'
    (found,) = of_source(tmp_path, text)
    assert found.startswith("2: ")


def test_nothing_is_loaded_into_the_ledger(tmp_path: Path) -> None:
    assert faults(tmp_path, {"sources/ledger.toml": "\n[tables.jobs]\n"}) == [
        "sources/ledger.toml:2: nothing can be loaded into the platform's own ledger"
    ]


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (('source = "shop"', ""), "1: `source` is missing"),
        (('"shop"', '"store"'), "1: there is no source 'store'; there are: ledger, shop"),
        (('"shop"', '"ledger"'), "1: no statement runs on the platform's own ledger"),
        ((":id", ":number"), ":number is no parameter"),
        (("[parameters.id]", "[parameters.id]\nrequired = 1"), "5: Expected `boolean`, got `integer`"),
        (("[parameters.id]", "[parameters.id]\ndefualt = 1"), "5: there is no field `defualt`"),
        (('"integer"', '"int"'), "5: Invalid enum value 'int'; allowed are: boolean, date, integer, json,"),
        (('"integer"', '"integer"\ndefault = "x"'), "6: does not fit its own parameter: expected `integer`"),
        (('"integer"', '"integer"\ndefault = 5\nmax = 4'), "6: does not fit its own parameter: is greater"),
        (('"integer"', '"integer"\ndefault = 5\nchoices = [1]'), "6: does not fit its own parameter: expec"),
        (('"integer"', '"integer"\nlist = true\ndefault = 1'), "7: does not fit its own parameter: expected"),
        (('"integer"', '"integer"\nmin = "1"'), "6: does not fit its own parameter: expected `integer`"),
        (('"integer"', '"integer"\n\nmin = 2\nmax = 1'), "7: is greater than `max`"),
        (
            ('"integer"', '"integer"\nchoices = [1, "2"]'),
            "6: does not fit its own parameter: expected `integer`",
        ),
        (
            ('"integer"', '"integer"\nchoices = [1, 9]\nmax = 8'),
            "6: does not fit its own parameter: is greate",
        ),
        (('"integer"', '"integer"\nmax_length = 0'), "6: Expected `integer` >= 1"),
        (('"integer"', '"text"\nmax = "b"'), "6: a text has none"),
        (('"integer"', '"boolean"\nmin = false'), "6: a boolean has none"),
        (('"integer"', '"date"\nmin = "2024-02-30"'), "6: does not fit its own parameter: invalid RFC3339"),
    ],
)
def test_a_statement(tmp_path: Path, change: tuple[str, str], fault: str) -> None:
    found = of_statement(tmp_path, STATEMENT.replace(*change))
    assert any(fault in each for each in found), found


@pytest.mark.parametrize("name", ["Id", "1st", "an id", "ä"])
def test_a_parameter_needs_a_plain_name(tmp_path: Path, name: str) -> None:
    found = of_statement(tmp_path, STATEMENT.replace("parameters.id", f'parameters."{name}"'))
    assert f"4: {name!r} is no name: " in found[1]


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT '1'::int, CAST(:id AS int)::text",
        "SELECT '12:30:00'::time, 'a: b', a[1:2], :id",
        r"SELECT 'at \:noon', :id",
        "SELECT to_char(now(), 'HH24:MI'), '::', :id -- done:",
        "SELECT :id, :id",
        "SELECT '%s %(id)s', :id",
    ],
)
def test_casts_times_and_escaped_colons_are_no_parameters(tmp_path: Path, sql: str) -> None:
    text = f"source = \"shop\"\nsql = '''{sql}'''\n\n[parameters.id]\ntype = \"integer\"\nmin = \"x\"\n"
    assert of_statement(tmp_path, text) == [
        "6: does not fit its own parameter: expected `integer`, got `string`"
    ]


@given(st.lists(st.sampled_from([":", "::", "a", "b1", "\\", " ", "'", "1", "ä", "-"])).map("".join))
@example(":ab:")
def test_parameters_are_what_sqlalchemy_takes_for_them(sql: str) -> None:
    assert checks._words(sql) == set(text(sql).compile().params)


def test_a_word_that_looks_like_a_parameter_is_told_with_the_way_out(tmp_path: Path) -> None:
    assert of_statement(tmp_path, 'source = "shop"\n\nsql = "SELECT \' :noon\'"\n') == [
        r"3: :noon is no parameter; where none is meant write \:noon in a '''text'''"
    ]


def test_a_parameter_that_no_sql_uses_is_a_fault(tmp_path: Path) -> None:
    assert of_statement(tmp_path, STATEMENT.replace(":id", "1")) == ["4: no SQL uses it"]
    assert of_report(tmp_path, REPORT.replace(":since", "now()")) == ["4: no SQL uses it"]


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (('title = "Orders"\n', ""), "1: `title` is missing"),
        (('title = "Orders"', 'title = ""'), "1: Expected `string` of length >= 1"),
        (("[tables.orders]", "[tables.Orders]"), "7: 'Orders' is no name"),
        (("charts.days", 'charts."a b"'), "10: 'a b' is no name"),
        (('table = "orders"', 'table = "order"'), "11: there is no table 'order' in this report"),
        (('mark = "bar"', 'data.url = "x"'), "13: a chart draws its table, and no other data"),
        (('mark = "bar"', "layer = [\n{data = {}}]"), "13: a chart draws its table, and no other data"),
        (
            ("[charts.days]", '[tables.orders.columns.day]\nformat = "money"\n[charts.days]'),
            "11: Invalid enum value 'money'; allowed are: boolean, date,",
        ),
        (("[charts.days]", "[tables.orders.columns.day]\nwidth = 1\n[charts.days]"), "11: there is no field"),
    ],
)
def test_a_report(tmp_path: Path, change: tuple[str, str], fault: str) -> None:
    found = of_report(tmp_path, REPORT.replace(*change))
    assert any(each.startswith(fault) for each in found), found


def test_a_report_without_tables_is_none(tmp_path: Path) -> None:
    found = of_report(tmp_path, 'title = "x"\nsource = "shop"\ntables = {}\n')
    assert found == ["3: Expected `object` of length >= 1"]
