"""`jobyard reports`: list, new, check, preview."""

import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from pypdfium2 import PdfDocument
from sqlalchemy import Engine

from ops.cli.reports import reports

Run = Callable[..., Result]
Define = Callable[[str], Path]


@pytest.fixture
def run(own: Path, shop: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    url = shop.url.render_as_string(hide_password=False)
    monkeypatch.chdir(tmp_path)

    def command(*words: str, reachable: bool = True) -> Result:
        away = "postgresql://127.0.0.1:1/none"
        environment = {
            "JOBYARD_HOME": str(tmp_path / "home"),
            "JOBYARD_DEFINITIONS": str(own),
            "JOBYARD_DATABASE_URL": url if reachable else away,
            "JOBYARD_SOURCE_SHOP_URL": url if reachable else away,
        }
        return CliRunner(env=environment).invoke(reports, words)

    return command


def test_the_list_names_shipped_and_own_reports_with_their_parameters(run: Run, define: Define) -> None:
    define('[parameters.n]\ntype = "integer"\n[tables.all]\nsql = "SELECT :n AS n"')
    listed = run("list").output
    for words in ("activity", "slowest", "since (timestamp)", "sales", "n (integer, required)"):
        assert words in listed


def test_a_new_report_works_at_once(run: Run, own: Path) -> None:
    assert "try it: jobyard reports preview first" in run("new", "first").output
    assert {path.name for path in (own / "reports" / "first").iterdir()} == {
        "report.toml",
        "layout.typ",
        "layout.html",
    }
    assert run("check", "first").output == "first: good\n"
    for format_ in ("pdf", "html", "xlsx", "csv"):
        assert run("preview", "first", "--format", format_).exit_code == 0
    assert len(PdfDocument(Path("first.pdf").read_bytes())) == 1


def test_a_new_report_overwrites_nothing(run: Run, define: Define) -> None:
    folder = define('[tables.all]\nsql = "SELECT 1 AS n"')
    before = (folder / "report.toml").read_text()
    done = run("new", "sales")
    assert (done.exit_code, "is there already" in done.output) == (1, True)
    assert [path.name for path in folder.iterdir()] == ["report.toml"]
    assert (folder / "report.toml").read_text() == before


@pytest.mark.parametrize("name", ["../up", "Name", "a/b", "", "x.y"])
def test_a_new_report_needs_a_name(run: Run, own: Path, name: str) -> None:
    assert run("new", name).exit_code == 1
    assert not (own / "reports").exists()


def test_shipped_reports_pass_the_check(run: Run) -> None:
    done = run("check")
    assert done.exit_code == 0
    assert {f"{name}: good" for name in ("activity", "failures", "queues", "slowest")} <= set(
        done.output.splitlines()
    )


def test_the_check_goes_without_a_source_that_is_away_and_says_so(run: Run) -> None:
    done = run("check", "activity", reachable=False)
    assert done.exit_code == 0
    assert "activity: good" in done.output
    assert "its queries were not planned: data source 'ledger' is not available" in done.output


@pytest.mark.parametrize(
    ("rest", "where"),
    [
        (
            '[tables.all]\ntitle = "All"\nsql = "SELECT nosuch FROM sales"',
            r"report.toml:5: table 'all': .*nosuch",
        ),
        ('[tables.all]\nsql = "DELETE FROM sales"', r"report.toml:4: table 'all': .*DELETE"),
        ('[tables.all]\nsql = "SELECT 1 AS n"\ncolumns.m.total = true', r"report.toml:4: .*no column 'm'"),
        ("[tables.all]\nsql = 5", r"report.toml:4: "),
        (
            '[tables.all]\nsql = "SELECT 1 AS n"\n[charts.all]\ntable = "all"\nspec = { mark = "nonsense" }',
            r"report.toml:7: chart 'all'",
        ),
        (
            '[tables.all]\nsql = "SELECT 1 AS n"\n[charts.all]\ntable = "all"\nspec.mark.url = "http://a/"',
            r"report.toml:7: a chart draws its table, and no other data",
        ),
    ],
)
def test_a_fault_is_told_with_file_and_line(run: Run, define: Define, rest: str, where: str) -> None:
    define(rest)
    done = run("check", "sales")
    assert done.exit_code == 1
    assert re.search(where, done.output)


@pytest.mark.parametrize(
    ("file", "layout", "where"),
    [
        ("layout.typ", "hello\n\n#nosuch", "layout.typ:3: unknown variable: nosuch"),
        ("layout.html", "<p>\n{{ nosuch }}", "layout.html:2: 'nosuch' is undefined"),
    ],
)
def test_a_fault_of_a_layout_is_told_with_file_and_line(
    run: Run, define: Define, file: str, layout: str, where: str
) -> None:
    folder = define('[tables.all]\nsql = "SELECT 1 AS n"')
    (folder / file).write_text(layout)
    done = run("check", "sales")
    assert done.exit_code == 1
    assert f"{folder}/{where}" in done.output


def test_a_preview_takes_parameters_of_every_type(run: Run, define: Define) -> None:
    define(
        '[parameters.n]\ntype = "integer"\n[parameters.who]\ntype = "text"\n'
        '[parameters.days]\ntype = "date"\nlist = true\n'
        '[tables.all]\nsql = "SELECT :n + 1 AS n, CAST(:who AS text) AS who, cardinality(:days) AS days"'
    )
    params = ["-p", "n=41", "-p", "who=123", "-p", 'days=["2026-03-01", "2026-03-02"]']
    done = run("preview", "sales", *params, "--format", "csv", "-o", "out.csv")
    assert done.exit_code == 0, done.output
    assert Path("out.csv").read_text().splitlines()[1] == '42,"123",2'


ONE = '[tables.all]\nsql = "SELECT 1 AS n"'


def test_a_preview_is_of_the_format_that_its_file_is_named_after(run: Run, define: Define) -> None:
    define(ONE)
    assert run("preview", "sales", "-o", "out.csv").exit_code == 0
    assert Path("out.csv").read_bytes().startswith(b'"n"')


def test_a_preview_goes_to_standard_output_and_its_counts_beside_it(run: Run, define: Define) -> None:
    define('[tables.all]\nsql = "SELECT 7 AS n"')
    shown = run("preview", "sales", "--format", "csv", "-o", "-")
    assert (shown.stdout.split(), shown.stderr) == (['"n"', "7"], "all: 1 rows\n")
    assert not Path("-").exists()


def test_a_preview_writes_through_links_and_into_pipes_and_replaces_neither(run: Run, define: Define) -> None:
    define(ONE)
    Path("link.csv").symlink_to("file.csv")
    os.mkfifo("pipe")
    reader = os.open("pipe", os.O_RDONLY | os.O_NONBLOCK)
    assert run("preview", "sales", "-o", "link.csv").exit_code == 0
    assert run("preview", "sales", "--format", "csv", "-o", "pipe").exit_code == 0
    assert Path("link.csv").is_symlink()
    assert Path("pipe").is_fifo()
    assert os.read(reader, 1000) == Path("file.csv").read_bytes()
    os.close(reader)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("preview", "nosuch"), "there is no report 'nosuch'; there are: activity"),
        (("preview", "activity", "-p", "since=yesterday"), "since: "),
        (("preview", "activity", "-p", "since"), "-p since: expected KEY=VALUE"),
        (("preview", "activity", "--format", "csv", "--table", "nosuch"), "there is no table 'nosuch'"),
        (("preview", "activity", "-o", "no/such/folder.pdf"), "cannot be written"),
    ],
)
def test_a_preview_that_cannot_be_leaves_no_file(
    run: Run, tmp_path: Path, words: tuple[str, ...], said: str
) -> None:
    before = set(tmp_path.iterdir())
    done = run(*words)
    assert (done.exit_code, said in done.output) == (1, True), done.output
    assert set(tmp_path.iterdir()) == before
