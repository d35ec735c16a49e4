"""One platform for the session, on servers that a test may strike; each test finds it whole."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from ops.chaos import rig as rigs
from ops.chaos.api import Api
from ops.chaos.rig import Rig

# Before its import: what it asserts is shown as what tests assert.
pytest.register_assert_rewrite("tests.faults.bystander")
from tests.faults.bystander import Bystander  # noqa: E402 - see above

LAST_WORDS = 3000  # characters


@pytest.fixture(scope="session")
def standing() -> Iterator[Rig]:
    with tempfile.TemporaryDirectory(prefix="jobyard-faults-", ignore_cleanup_errors=True) as name:
        Path(name).chmod(0o711)  # the servers' account passes through it
        with rigs.running(Path(name), os.environ) as rig:
            yield rig


@pytest.fixture
def rig(standing: Rig) -> Rig:
    standing.settle()
    return standing


@pytest.fixture
def gate(tmp_path: Path) -> Iterator[Path]:
    """A closed gate for the first attempts of jobs; opened in the end, so that nothing waits on."""
    path = tmp_path / "gate"
    yield path
    path.touch()


@pytest.fixture
def bystander(rig: Rig, tmp_path: Path) -> Iterator[Bystander]:
    """Whoever submits jobs and looks on."""
    with closing(Api(rig.api_port, rig.key, 16)) as api:
        yield Bystander(api, tmp_path / "runs.jsonl")
