"""A short mix of faults; `jobyard chaos` is the long form."""

from pathlib import Path

from ops.chaos.checker import judge
from ops.chaos.history import read
from ops.chaos.rig import Rig
from ops.chaos.run import CLIENTS, RUNS, Course, act

COURSE = Course(seconds=20.0, seed=7, rate=8.0, pace=2.0)


def test_a_mix_of_faults_breaks_no_promise(rig: Rig, tmp_path: Path) -> None:
    setting = act(COURSE, rig, tmp_path)
    verdict = judge(read([tmp_path / CLIENTS, tmp_path / RUNS]))
    assert verdict.valid, verdict
    assert setting.errors == []
    assert verdict.accepted > 100
    assert len(verdict.faults) > 5
