"""What the exit status of `jobyard chaos` says."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from ops.chaos.checker import judge
from ops.chaos.history import AnyEvent, Attempted, Done, Fault, Read, Started, Submitted
from ops.chaos.report import Report, Setting
from ops.chaos.run import Course
from ops.cli import chaos as command

WELL: list[AnyEvent] = [
    Submitted(at=0.0, key="k", kind="k", expected=("succeeded",), seconds=0.1, status=202, job="a"),
    Started(at=1.0, job="a", run="r", attempt=1, pid=1),
    Done(at=2.0, run="r"),
    Fault(at=3.0, name="beat-killed", target="beat", until=3.0),
    Read(
        at=9.0, job="a", status=200, state="succeeded", history=(Attempted(attempt=1, outcome="succeeded"),)
    ),
]


@pytest.mark.parametrize(
    ("history", "errors", "words", "status"),
    [
        pytest.param(WELL, [], [], 0, id="the promise held"),
        pytest.param(WELL, [], ["--least-jobs", "1"], 0, id="and as often as asked for"),
        pytest.param(WELL, [], ["--least-jobs", "2"], 1, id="too few jobs"),
        pytest.param(WELL, [], ["--least-faults", "2"], 1, id="too few faults"),
        pytest.param([*WELL[:3], WELL[4]], [], [], 1, id="no fault"),
        pytest.param([*WELL[:3], WELL[4]], [], ["--least-faults", "0"], 0, id="no fault, and none asked for"),
        pytest.param(WELL, ["beat-killed: OSError"], [], 1, id="a fault that could not be carried out"),
        pytest.param([], [], [], 1, id="nothing happened"),
        pytest.param(WELL[:1], [], [], 1, id="a job was lost"),
    ],
)
def test_the_exit_status_says_whether_the_run_proves_what_it_was_to(
    *,
    history: list[AnyEvent],
    errors: list[str],
    words: list[str],
    status: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def run(course: Course, _out: Path, _say: object) -> Report:
        setting = Setting(
            seed=1,
            broker="valkey",
            seconds=1,
            rate=1,
            quiet_seconds=1,
            errors=errors,
            least_jobs=course.least_jobs,
            least_faults=course.least_faults,
        )
        return Report.of(judge(history), history, setting)

    monkeypatch.setattr(command.chaos_run, "run", run)
    result = CliRunner().invoke(command.chaos, ["--out", str(tmp_path / "out"), *words])
    assert result.exit_code == status, result.output
