"""PDF: what a page shows, and what its layout must not do."""

import threading
from pathlib import Path

import pytest
from pypdfium2 import PdfDocument

from tests.unit.worker.adapters.report.pages import WHEN, page, pdf, text_of
from tests.unit.worker.adapters.report.tables import File, column
from worker.adapters.report import pdf as pdfs
from worker.adapters.report.pdf import write_pdf
from worker.contract import Cancelled, Fatal
from worker.definitions import Chart

BARS = Chart(
    table="days",
    title="How many",
    spec={
        "mark": "bar",
        "encoding": {"x": {"field": "day", "type": "nominal"}, "y": {"field": "n", "type": "quantitative"}},
    },
)

LINKING = """<svg xmlns='http://www.w3.org/2000/svg' width='9' height='9'>\
<image href='/etc/passwd' width='9' height='9'/></svg>"""
ENDLESS = "#for a in range(10000) { for b in range(10000) { for c in range(10000) { let d = c } } }"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    inner = tmp_path / "sales"
    inner.mkdir()
    (tmp_path / "secret.txt").write_text("the secret")
    return inner


def layout(folder: Path, text: str) -> Path:
    (folder / "layout.typ").write_text(text)
    return folder


def test_the_house_shows_title_parameters_time_rows_totals_and_what_was_left_out(tmp_path: Path) -> None:
    shown = page(
        {"day": "text", "n": "integer"},
        [["mo", 1000], ["tu", 2000], ["we", 3000]],
        values={"since": WHEN, "until": None},
        description="What was sold.",
        max_rows=2,
        columns={"n": column(title="Pieces", total=True)},
    )
    text = text_of(pdf(shown, tmp_path))
    for words in ("Sales", "What was sold.", "since 2026-03-01 12:30:00 UTC", "created 2026-03-01 12:30 UTC"):
        assert words in text
    for words in ("Pieces", "1,000", "2,000", "Total", "6,000", "The first 2 of 3 rows.", "1 / 1"):
        assert words in text
    assert "3,000" not in text
    assert "until" not in text


def test_an_empty_table_says_so(tmp_path: Path) -> None:
    assert "no rows" in text_of(pdf(page({"day": "text"}, []), tmp_path))


def test_a_heading_line_stands_on_every_page_and_pages_are_numbered(tmp_path: Path) -> None:
    rows = [[f"day {at}"] for at in range(150)]
    content = pdf(page({"day": "text"}, rows, columns={"day": column(title="The day")}), tmp_path)
    count = len(PdfDocument(content))
    text = text_of(content)
    assert count > 2
    assert text.count("The day") == count
    assert all(f"{number} / {count}" in text for number in range(1, count + 1))


def test_a_chart_stands_on_the_page(tmp_path: Path) -> None:
    rows = [["monday", 1], ["tuesday", 2]]
    shown = page({"day": "text", "n": "integer"}, rows, charts={"bars": BARS}, style="charts")
    text = text_of(pdf(shown, tmp_path))
    assert "How many" in text
    assert "tuesday" in text


def test_figures_are_the_values_of_the_first_row(tmp_path: Path) -> None:
    text = text_of(
        pdf(page({"pieces": "integer", "none": "text"}, [[1234, None]], style="figures"), tmp_path)
    )
    assert "1,234" in text
    assert "–" in text  # noqa: RUF001 - a dash stands for nothing


def test_the_file_carries_its_title_and_its_time(tmp_path: Path) -> None:
    metadata = PdfDocument(pdf(page({"day": "text"}, []), tmp_path)).get_metadata_dict()
    assert metadata["Title"] == "Sales"
    assert metadata["CreationDate"].startswith("D:20260301123000")


def test_the_same_rows_at_the_same_time_are_the_same_bytes(tmp_path: Path) -> None:
    first, second = (pdf(page({"day": "text"}, [["mo"]]), tmp_path) for _ in range(2))
    assert first == second


@pytest.mark.parametrize(
    "text",
    [
        '#read("/etc/passwd")',
        "#panic()",
        "*bold* _slanted_ $x^2$ `raw`",
        '"); #panic("',
        "= heading",
        "\\ \\u{41} // comment",
        "<label> @reference",
    ],
)
def test_markup_in_cells_titles_and_parameters_is_text(tmp_path: Path, text: str) -> None:
    shown = page(
        {"day": "text"}, [[text]], values={"note": text}, title=text, columns={"day": column(title=text)}
    )
    assert text_of(pdf(shown, tmp_path)).count(text) >= 4


def test_text_without_spaces_is_broken_and_stays_within_its_column(tmp_path: Path) -> None:
    content = pdf(page({"a": "text", "b": "text"}, [["x" * 300, "q" * 300]]), tmp_path)
    text = text_of(content).replace("\n", "")
    assert (text.count("x"), text.count("q")) == (300, 300)


def test_a_layout_of_ones_own_gets_words_and_values(folder: Path) -> None:
    own = """#let report = json(bytes(sys.inputs.report))
        #report.tables.at(0).rows.at(0).at(0) is #calc.round(report.tables.at(0).records.at(0).n * 2)"""
    assert "1,234 is 2468" in text_of(pdf(page({"n": "integer"}, [[1234]]), layout(folder, own)))


def test_a_layout_reads_the_files_beside_it(folder: Path) -> None:
    (folder / "part.typ").write_text("#let greeting = [hello from a part]")
    own = '#import "part.typ": greeting\n#greeting'
    assert "hello from a part" in text_of(pdf(page({"n": "integer"}, []), layout(folder, own)))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('#read("../secret.txt")', r"layout.typ:1: .*escape"),
        ('#read("/../secret.txt")', r"layout.typ:1: .*escape"),
        ('hello\n#read("/etc/passwd")', r"layout.typ:2: file not found"),
        ('#let up = ".." + "/secret.txt"\n#read(up)', r"layout.typ:2: .*escape"),
        ('#include "../secret.txt"', r"layout.typ:1: .*escape"),
        ('#image("/../secret.txt")', r"layout.typ:1: .*escape"),
        (
            f'#image(bytes("{LINKING}"))',
            r"layout.typ:1: .*not allowed",
        ),
        ('#plugin("../secret.txt")', r"layout.typ:1: .*escape"),
        ('#eval("read(\\"../secret.txt\\")")', r"escape|access"),
    ],
)
def test_a_layout_reads_no_file_outside_its_folder(folder: Path, text: str, reason: str) -> None:
    with pytest.raises(Fatal, match=reason) as raised:
        pdf(page({"n": "integer"}, []), layout(folder, text))
    assert "the secret" not in str(raised.value)
    assert str(folder) not in str(raised.value)


@pytest.mark.parametrize(
    "text",
    [
        '#import "@preview/cetz:0.3.4": canvas',
        '#let name = "@pre" + "view/cetz:0.3.4"\n#import name: canvas',
        '#include "@preview/cetz:0.3.4"',
        '#eval("import \\"@preview/cetz:0.3.4\\": canvas", mode: "code")',
        '#import "@local/mine:1.0.0": mine',
    ],
)
def test_a_layout_imports_no_packages(folder: Path, text: str) -> None:
    with pytest.raises(Fatal, match="a layout may import no packages"):
        pdf(page({"n": "integer"}, []), layout(folder, text))


def test_the_compiler_has_no_way_to_the_network_and_knows_no_secrets() -> None:
    assert set(pdfs._ENVIRONMENT) == {"HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY"}
    assert set(pdfs._ENVIRONMENT.values()) == {"http://127.0.0.1:0"}


def test_a_link_that_came_after_the_definitions_were_read_is_refused(folder: Path) -> None:
    (folder / "link.txt").symlink_to(folder.parent / "secret.txt")
    with pytest.raises(Fatal, match=r"link\.txt is a link"):
        pdf(page({"n": "integer"}, []), layout(folder, '#read("link.txt")'))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("hello\n#let x = (1,", "layout.typ:2: "),
        ("#nosuch()", "layout.typ:1: unknown variable: nosuch"),
        ('\n\n#panic("no")', "layout.typ:3: panicked with: no"),
        ('#import "part.typ": *', "part.typ:2: unknown variable: nosuch"),
    ],
)
def test_a_fault_of_a_layout_has_file_and_line(folder: Path, text: str, reason: str) -> None:
    (folder / "part.typ").write_text("\n#let a = nosuch")
    with pytest.raises(Fatal) as raised:
        pdf(page({"n": "integer"}, []), layout(folder, text))
    assert str(raised.value).startswith(reason)


def test_a_layout_that_never_ends_is_ended_by_its_limit(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pdfs, "_SECONDS", 1)
    with pytest.raises(Fatal, match=r"layout.typ: the compiler ended with status"):
        pdf(page({"n": "integer"}, []), layout(folder, ENDLESS))


def test_a_layout_that_takes_all_memory_is_ended_by_its_limit(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pdfs, "_MEMORY", 400 * 1024**2)
    layout(folder, '#let x = "0123456789"\n#for _ in range(40) { x = x + x }')
    with pytest.raises(Fatal, match=r"layout.typ: the compiler ended with status"):
        pdf(page({"n": "integer"}, []), folder)


def test_a_cancelled_job_does_not_wait_for_its_page(folder: Path) -> None:
    asked = threading.Event()

    def cancelled() -> None:
        asked.set()
        raise Cancelled("a cancel was requested")

    layout(folder, ENDLESS)
    with pytest.raises(Cancelled):
        write_pdf(page({"n": "integer"}, []), folder, File().measured, cancelled)
    assert asked.is_set()
