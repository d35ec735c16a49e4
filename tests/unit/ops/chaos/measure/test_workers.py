"""Which jobs a kill cut off, and when they ran again."""

from ops.chaos.measure.workers import again
from ops.chaos.past import Run

KILLED_AT = 10.0


def run(start: float, seen: float, *, done: bool) -> Run:
    return Run(id=f"run at {start}", job="job", attempt=1, pid=1, start=start, seen=seen, done=done)


def test_what_was_cut_off_ran_again_with_its_next_run() -> None:
    runs = [run(8.0, 9.9, done=False), run(17.0, 21.0, done=True), run(30.0, 31.0, done=True)]
    assert again(runs, KILLED_AT) == 17.0


def test_what_had_come_to_its_end_was_not_cut_off() -> None:
    assert again([run(8.0, 9.9, done=True)], KILLED_AT) is None
    assert again([run(8.0, 9.9, done=True), run(17.0, 21.0, done=True)], KILLED_AT) is None
