"""HTML: what a page shows, and what its layout must not do."""

import re
from html import escape
from pathlib import Path

import pytest

from tests.unit.worker.adapters.report.pages import html, page
from tests.unit.worker.adapters.report.tables import column
from worker.contract import Fatal
from worker.definitions import Chart

BARS = Chart(table="days", title="How many", spec={"mark": "bar", "encoding": {"x": {"field": "n"}}})
ATTACKS = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "{{ 7 * 7 }}",
    "{% raw %}",
    "</style>",
]


def layout(folder: Path, text: str) -> Path:
    (folder / "layout.html").write_text(text)
    return folder


def test_the_house_shows_title_rows_totals_and_what_was_left_out(tmp_path: Path) -> None:
    columns = {"n": column(title="Pieces", total=True)}
    shown = page({"day": "text", "n": "integer"}, [["mo", 1000], ["tu", 2000]], max_rows=1, columns=columns)
    text = html(shown, tmp_path)
    for words in ("<h1>Sales</h1>", "Pieces", ">1,000<", ">Total<", ">3,000<", "The first 1 of 2 rows."):
        assert words in text


def test_an_empty_table_says_so(tmp_path: Path) -> None:
    assert "no rows" in html(page({"day": "text"}, []), tmp_path)


@pytest.mark.parametrize("text", ATTACKS)
def test_markup_in_cells_titles_and_parameters_is_text(tmp_path: Path, text: str) -> None:
    shown = page(
        {"day": "text"},
        [[text]],
        values={"note": text},
        title=text,
        description=text,
        charts={"bars": Chart(table="days", title=text, spec=BARS.spec)},
        columns={"day": column(title=text)},
    )
    rendered = html(shown, tmp_path)
    assert rendered.count(escape(text).replace("&quot;", "&#34;").replace("&#x27;", "&#39;")) >= 6
    assert len(re.findall(r"<script|onerror=alert\(1\)>", rendered)) == 0
    assert rendered.count("</style>") == 1


def test_the_file_needs_nothing_else_and_lets_a_browser_fetch_nothing(tmp_path: Path) -> None:
    text = html(page({"n": "integer"}, [[1]], charts={"bars": BARS}), tmp_path)
    assert "default-src 'none'" in text
    assert 'src="data:image/svg+xml;base64,' in text
    assert re.search(r"(?:src|href)=\"(?!data:)", text) is None
    assert "url(" not in text


@pytest.mark.parametrize(
    "text",
    [
        "{{ report.__class__.__mro__[1].__subclasses__() }}",
        "{{ ''.__class__ }}",
        "{{ report.title.format.__globals__ }}",
        "{{ ('%s' | attr('format')).__globals__ }}",
        "{{ self._TemplateReference__context }}",
        "{{ lipsum.__globals__['os'] }}",
        "{{ cycler.__init__.__globals__ }}",
        "{{ '{0.__class__}'.format(report) }}",
        "{% do report.tables.clear() %}",
        "{{ report.tables.append(1) }}",
        "{% include '../secret.html' %}",
        "{% include '/etc/passwd' %}",
        "{% import '../secret.html' as secret %}",
        "{% extends '../secret.html' %}",
        "{{ range(100000000) | list }}",
        "{{ nosuch }}",
    ],
)
def test_a_layout_does_not_climb_out_of_its_sandbox(tmp_path: Path, text: str) -> None:
    (tmp_path / "secret.html").write_text("the secret")
    folder = tmp_path / "sales"
    folder.mkdir()
    with pytest.raises(Fatal, match=r"layout\.html:2: ") as raised:
        html(page({"n": "integer"}, []), layout(folder, "<p>\n" + text))
    assert "the secret" not in str(raised.value)


def test_a_link_out_of_the_folder_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "secret.html").write_text("the secret")
    folder = tmp_path / "sales"
    folder.mkdir()
    (folder / "link.html").symlink_to(tmp_path / "secret.html")
    with pytest.raises(Fatal, match=r"no file 'link\.html'"):
        html(page({"n": "integer"}, []), layout(folder, "{% include 'link.html' %}"))


def test_a_layout_of_ones_own_gets_words_and_values(tmp_path: Path) -> None:
    own = "{% set table = report.tables[0] %}{{ table.rows[0][0] }} is {{ table.records[0].n * 2 }}"
    assert html(page({"n": "integer"}, [[1234]]), layout(tmp_path, own)) == "1,234 is 2468"


def test_a_fault_of_a_layout_has_file_and_line(tmp_path: Path) -> None:
    with pytest.raises(Fatal, match=r"^layout\.html:3: Unexpected end of template"):
        html(page({"n": "integer"}, []), layout(tmp_path, "<p>\n\n{% if report %}"))
