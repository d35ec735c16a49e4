import tomllib
from pathlib import Path

import jsonschema
import pytest

from tests.unit.worker.definitions.folders import SOURCE, TEMPLATE, faults, good, loaded, written
from worker.definitions import LEDGER, SECTIONS, DefinitionError, Fault, load, schema


def test_what_comes_along_is_sound() -> None:
    assert LEDGER in load(None).sources


def test_sound_definitions_are_found_by_name(tmp_path: Path) -> None:
    found = loaded(tmp_path, good())
    assert {"ledger", "shop"} <= set(found.sources)
    assert "see" in found.statements
    assert found.report_folders["orders"] == tmp_path / "reports/orders"
    assert found.template_folders["welcome"] == tmp_path / "templates/welcome"
    assert set(found.reports) == set(found.report_folders)
    assert set(found.templates) == set(found.template_folders)


def test_ones_own_stands_in_place_of_a_namesake_that_comes_along(tmp_path: Path) -> None:
    files = {"sources/ledger.toml": "statement_timeout = 5\n"}
    assert loaded(tmp_path, files).sources["ledger"].statement_timeout == 5.0


def test_an_empty_folder_is_sound(tmp_path: Path) -> None:
    assert load(tmp_path) == load(None)


def test_a_folder_that_is_missing_is_a_fault(tmp_path: Path) -> None:
    with pytest.raises(
        DefinitionError, match=r"nowhere:1: there is no such folder; JOBYARD_DEFINITIONS names"
    ):
        load(tmp_path / "nowhere")


def test_everything_wrong_is_told_at_once_in_the_order_of_files_and_lines(tmp_path: Path) -> None:
    files = good() | {
        "sources/a.toml": "discription = 1\n\nstatement_timeout = -1\n",
        "sources/b.toml": "[[",
        "statements/see.toml": 'source = "shop"\nsql = "SELECT :a"\n',
    }
    found = faults(tmp_path, files)
    assert [fault.split(": ", 1)[0] for fault in found] == [
        "sources/a.toml:1",
        "sources/a.toml:3",
        "sources/b.toml:1",
        "statements/see.toml:2",
    ]


def test_the_error_has_a_line_for_each_fault(tmp_path: Path) -> None:
    error = DefinitionError([Fault(tmp_path / "b", 2, "second"), Fault(tmp_path / "a", 1, "first")])
    assert str(error) == f"{tmp_path}/a:1: first\n{tmp_path}/b:2: second"


def test_a_faulty_source_is_not_blamed_on_those_that_name_it(tmp_path: Path) -> None:
    assert len(faults(tmp_path, good() | {"sources/shop.toml": "wrong = 1\n"})) == 1


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("sources/Shop.toml", "'Shop' is no name: lower-case letters, digits and _"),
        ("sources/my-shop.toml", "'my-shop' is no name"),
        ("sources/1.toml", "'1' is no name"),
        (f"sources/{'x' * 64}.toml", "is no name"),
        ("sources/shop.yaml", "expected NAME.toml"),
        ("sources/shop/source.toml", "expected NAME.toml"),
        ("reports/orders.toml", "expected a folder NAME with report.toml"),
        ("reports/orders/other.toml", "expected a folder NAME with report.toml"),
        ("reports/My Report/report.toml", "'My Report' is no name"),
        ("templates/welcome/body.txt", "expected a folder NAME with template.toml"),
        ("report/orders/report.toml", "is none of the folders sources, statements, reports, templates"),
        ("statements", "is no folder"),
    ],
)
def test_what_has_no_place_is_a_fault_and_not_ignored(tmp_path: Path, path: str, reason: str) -> None:
    (fault,) = faults(tmp_path, {path: SOURCE})
    where, _, why = fault.partition(":1: ")
    assert path.startswith(where)
    assert reason in why


def test_notes_and_hidden_files_are_left_alone(tmp_path: Path) -> None:
    loaded(
        tmp_path,
        good() | {"README.md": "", "reports/README.md": "", "sources/.shop.toml.swp": "", ".git/config": ""},
    )


def test_a_file_that_cannot_be_read_is_a_fault(tmp_path: Path) -> None:
    written(tmp_path, {"sources/shop.toml": ""})
    (tmp_path / "sources/shop.toml").write_bytes(b"description = '\xff'")
    with pytest.raises(DefinitionError, match=r"shop.toml:1: cannot be read: .*can't decode"):
        load(tmp_path)


def test_a_layout_may_not_lead_out_of_its_folder(tmp_path: Path) -> None:
    written(tmp_path, good())
    (tmp_path / "reports/orders/images").mkdir()
    (tmp_path / "reports/orders/images/logo.svg").symlink_to("/etc/passwd")
    (tmp_path / "templates/welcome/more").symlink_to("/etc")
    found = faults(tmp_path, {})
    assert found == [
        "reports/orders/report.toml:1: images/logo.svg is a link; what is beside it must be files",
        "templates/welcome/template.toml:1: more is a link; what is beside it must be files",
    ]


def test_the_folders_themselves_may_be_links_as_kubernetes_mounts_them(tmp_path: Path) -> None:
    files = {f"..data/{name}": text for name, text in good().items()}
    written(tmp_path, files)
    for section in SECTIONS:
        (tmp_path / section).symlink_to(f"..data/{section}")
    assert "orders" in load(tmp_path).reports


@pytest.mark.parametrize(
    ("missing", "reason"),
    [
        (["subject.txt"], "there is no subject.txt beside it"),
        (["body.txt"], "there is neither body.txt nor body.html beside it"),
    ],
)
def test_a_template_needs_a_subject_and_a_body(tmp_path: Path, missing: list[str], reason: str) -> None:
    files = {name: text for name, text in good().items() if Path(name).name not in missing}
    assert faults(tmp_path, files) == [f"templates/welcome/template.toml:1: {reason}"]


def test_a_template_may_have_html_alone(tmp_path: Path) -> None:
    loaded(
        tmp_path,
        {
            "templates/a/template.toml": TEMPLATE,
            "templates/a/subject.txt": "",
            "templates/a/body.html": "",
        },
    )


@pytest.mark.parametrize("section", SECTIONS)
def test_the_schema_takes_what_the_files_say(section: str) -> None:
    validator = jsonschema.Draft202012Validator(schema(section))
    validator.check_schema(schema(section))
    (text,) = (text for path, text in good().items() if path.startswith(section) and path.endswith("toml"))
    validator.validate(tomllib.loads(text))
    assert not validator.is_valid(tomllib.loads(text) | {"discription": "?"})
