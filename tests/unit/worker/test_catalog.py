"""Finding kinds, in packages that a test writes."""

import sys
from collections.abc import Callable, Iterator
from importlib.metadata import EntryPoint, EntryPoints
from pathlib import Path

import pytest

from worker import catalog
from worker.contract import KindError

HEAD = """
from worker.contract import EMAIL, Context, Payload, kind
class Nothing(Payload, frozen=True): ...
"""
KIND = '@kind("{name}", queue=EMAIL)\ndef run(payload: Nothing, ctx: Context) -> None: ...\n'

Write = Callable[[str, str], None]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Write]:
    """Write modules of the package `more_kinds`, which an entry point names."""
    root = tmp_path / "more_kinds"
    root.mkdir()
    (root / "__init__.py").touch()
    monkeypatch.syspath_prepend(str(tmp_path))
    entry = EntryPoint(name="more", value="more_kinds", group=catalog.ENTRY_POINTS)
    monkeypatch.setattr(catalog, "entry_points", lambda group: EntryPoints([entry] if group else []))

    def write(module: str, source: str) -> None:
        path = root.joinpath(*module.split(".")).with_suffix(".py")
        path.parent.mkdir(exist_ok=True)
        (path.parent / "__init__.py").touch()
        path.write_text(HEAD + source, "utf-8")

    yield write
    for name in [name for name in sys.modules if name.split(".")[0] == "more_kinds"]:
        del sys.modules[name]


def test_the_platforms_kinds_are_found() -> None:
    assert {"web.fetch", "upkeep.prune"} <= set(catalog.load())


def test_a_package_of_the_users_adds_its_kinds(write: Write) -> None:
    write("letter.send", KIND.format(name="letter.send"))
    write("letter.burn", KIND.format(name="letter.burn"))
    found = catalog.load()
    assert {"letter.send", "letter.burn", "web.fetch"} <= set(found)
    assert found["letter.send"].module == "more_kinds.letter.send"


def test_a_package_that_a_setting_names_adds_its_kinds(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    write("letter.send", KIND.format(name="letter.send"))
    monkeypatch.setattr(catalog, "entry_points", lambda group: EntryPoints() if group else None)
    assert "letter.send" in catalog.load(["more_kinds"])
    assert "letter.send" not in catalog.load()


@pytest.mark.parametrize("name", ["no_such_package", "json.decoder"])
def test_a_setting_that_names_no_package_is_refused(name: str) -> None:
    with pytest.raises(KindError, match=f"^{name}: "):
        catalog.load([name])


def test_the_catalog_is_sorted_and_cannot_be_changed(write: Write) -> None:
    write("a.kind", KIND.format(name="a.kind"))
    found = catalog.load()
    assert list(found) == sorted(found)
    with pytest.raises(TypeError):
        found["b.kind"] = found["a.kind"]  # type: ignore[index]  # that is the point


@pytest.mark.parametrize(
    ("module", "source", "problem"),
    [
        pytest.param("letter.send", "", "exactly one kind, this one has none", id="none"),
        pytest.param(
            "letter.send",
            KIND.format(name="letter.send") + KIND.replace("run", "also").format(name="letter.burn"),
            "exactly one kind, this one has letter.send, letter.burn",
            id="two",
        ),
        pytest.param(
            "letter.send",
            KIND.format(name="letter.burn"),
            "declares letter.burn, but its path says letter.send",
            id="another name than its path",
        ),
        pytest.param(
            "letter.send",
            "from worker.kinds.web.fetch import fetch\n",
            "exactly one kind, this one has none",
            id="somebody else's",
        ),
        pytest.param(
            "web.fetch",
            KIND.format(name="web.fetch"),
            "web.fetch: declared by worker.kinds.web.fetch and by more_kinds.web.fetch",
            id="a name that is taken",
        ),
    ],
)
def test_a_file_is_refused_that_declares(write: Write, module: str, source: str, problem: str) -> None:
    write(module, source)
    with pytest.raises(KindError, match=problem.replace(".", r"\.")):
        catalog.load()


def test_a_file_that_cannot_be_imported_stops_the_start(write: Write) -> None:
    write("letter.send", "import a_package_that_nobody_has\n")
    with pytest.raises(ModuleNotFoundError):
        catalog.load()


def test_a_kind_may_use_what_other_modules_of_its_package_hold(write: Write) -> None:
    write("letter.send", KIND.format(name="letter.send") + "from more_kinds import letter\n")
    assert "letter.send" in catalog.load()


def test_to_clients_there_are_no_internal_kinds() -> None:
    everything = catalog.load()
    assert set(everything) - set(catalog.of_clients(everything)) == {"webhook.deliver"}
