"""The files that the README of the definitions shows work as they stand there."""

import re
from pathlib import Path

import pytest

from worker import definitions
from worker.definitions import SECTIONS, DefinitionError, Definitions, bind

README = Path(definitions.__file__).parent / "README.md"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The README's files, each under the name in its first line."""
    files = re.findall(r"```(?:toml|text)\n# (\S+/\S+)\n(.*?)```", README.read_text("utf-8"), re.DOTALL)
    for name, content in files:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        # The line of the name stays, so that lines are those that a reader counts.
        path.write_text(f"# {name}\n{content}" if name.endswith(".toml") else content, "utf-8")
    return tmp_path


@pytest.fixture
def shown(folder: Path) -> Definitions:
    return definitions.load(folder)


def test_there_is_a_sound_example_of_each_section(shown: Definitions) -> None:
    for section in SECTIONS:
        examples = getattr(shown, section).keys() - getattr(definitions.load(None), section).keys()
        assert len(examples) == 1, section


def test_every_example_shows_what_it_is(shown: Definitions) -> None:
    assert all(
        definition.description for section in SECTIONS for definition in getattr(shown, section).values()
    )


def test_the_example_of_a_statement_takes_what_its_text_says(shown: Definitions) -> None:
    parameters = shown.statements["forget_customer"].parameters
    bound = bind(parameters, {"customer": "Ada", "before": "2026-01-31"})
    assert bound["states"] == ["paid"]


def test_the_fault_that_it_quotes_is_told_like_this(folder: Path) -> None:
    path = folder / "statements/forget_customer.toml"
    path.write_text(path.read_text("utf-8").replace(":before", ":befor"), "utf-8")
    with pytest.raises(DefinitionError) as caught:
        definitions.load(folder)
    quoted = re.findall(r"`(statements/\S+:\d+: .*?); …`", README.read_text("utf-8"))
    assert any(str(fault).startswith(f"{folder}/{quoted[0]}") for fault in caught.value.faults)
