"""A short mix of faults on RabbitMQ; `jobyard chaos --broker rabbitmq` is the long form."""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from ops.chaos import rig as rigs
from ops.chaos.carrier import Carrier
from ops.chaos.checker import judge
from ops.chaos.faults.rabbitmq import queue_deleted, queues_purged
from ops.chaos.history import read
from ops.chaos.rabbitmq import MISSING, installed
from ops.chaos.rig import Rig
from ops.chaos.run import CLIENTS, RUNS, Course, act

COURSE = Course(seconds=40.0, seed=11, rate=6.0, pace=2.0, broker=Carrier.RABBITMQ)


@pytest.fixture(scope="module")
def rig() -> Iterator[Rig]:
    if not installed():
        pytest.skip(MISSING)
    with tempfile.TemporaryDirectory(prefix="jobyard-faults-", ignore_cleanup_errors=True) as name:
        Path(name).chmod(0o711)  # the servers' account passes through it
        with rigs.running(Path(name), os.environ, COURSE.broker) as rig:
            yield rig


@pytest.mark.timeout(400)
def test_a_mix_of_faults_on_rabbitmq_breaks_no_promise(rig: Rig, tmp_path: Path) -> None:
    setting = act(COURSE, rig, tmp_path)
    verdict = judge(read([tmp_path / CLIENTS, tmp_path / RUNS]))
    assert verdict.valid, verdict
    assert setting.errors == []
    assert verdict.accepted > 100
    assert len(verdict.faults) > 5


def test_a_purge_passes_over_a_queue_that_was_deleted_a_moment_ago(rig: Rig) -> None:
    dice = Random(1)  # noqa: S311 - which queue, not a secret
    with queue_deleted.strike(rig, dice), queues_purged.strike(rig, dice) as harm:
        assert harm.target == "broker"
