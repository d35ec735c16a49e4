"""What comes of a peer's jobs is judged as ours are; its programs need nothing of ours."""

import ast
import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

from ops.bench.measures.drain import CELERY, PEERS
from ops.bench.rivals.environment import PROGRAMS

FUNCTIONS = {"clear", "submit", "workers", "done", "results"}


@pytest.fixture
def drive() -> ModuleType:
    spec = importlib.util.spec_from_file_location("drive", PROGRAMS / "drive.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_time_of_a_peer_is_that_between_its_first_and_its_last_job(drive: ModuleType) -> None:
    assert drive.judged([(1, 12.0), (0, 10.0), (2, 14.5)], 3) == {"jobs": 3, "seconds": 4.5}


@pytest.mark.parametrize(
    "results", [[(0, 1.0), (1, 2.0)], [(0, 1.0), (1, 2.0), (1, 3.0)], [(0, 1.0), (1, 2.0), (5, 3.0)]]
)
def test_a_peer_that_loses_doubles_or_confuses_jobs_does_not_count(
    drive: ModuleType, results: list[tuple[int, float]]
) -> None:
    with pytest.raises(SystemExit):
        drive.judged(results, 3)


@pytest.mark.parametrize("peer", [*CELERY, *PEERS])
def test_each_peer_is_one_file_with_the_same_functions(peer: str) -> None:
    tree = ast.parse((PROGRAMS / f"peer_{peer}.py").read_text())
    defined = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
    imported = {name.name for node in tree.body if isinstance(node, ast.ImportFrom) for name in node.names}
    assert defined | imported >= FUNCTIONS


@pytest.mark.parametrize("program", sorted(PROGRAMS.glob("*.py")), ids=lambda path: path.stem)
def test_programs_of_peers_import_nothing_of_ours(program: Path) -> None:
    tree = ast.parse(program.read_text())
    modules = {
        name.split(".")[0]
        for node in ast.walk(tree)
        for name in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else []
        )
    }
    assert not modules & {"ops", "worker", "api", "schedules"}
