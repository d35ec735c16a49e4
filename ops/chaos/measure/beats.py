"""A beat is killed while a second one runs: how late what is due begins."""

import signal
import time
from collections.abc import Iterator

from ops.chaos.crew import send
from ops.chaos.measure.bench import Bench
from ops.chaos.measure.claim import Claim, at_most
from ops.chaos.rig import SECOND_BEAT

LIMIT = 5.0  # seconds

_EACH = 0.1  # seconds between two jobs
_AFTER = 10.0  # seconds between two kills
_PATIENCE = 60.0


def measure(bench: Bench) -> Iterator[Claim]:
    """SIGKILL one beat, and then the other."""
    bench.rig.settle()
    victims = ("beat", SECOND_BEAT)
    number = int((len(victims) + 1) * _AFTER / _EACH)
    begins = bench.ready(number)
    due = [begins + n * _EACH for n in range(number)]
    jobs = bench.submit("chaos.web", len(due), due=due.__getitem__)
    for turn, name in enumerate(victims, start=1):
        time.sleep(max(0.0, begins + turn * _AFTER - time.monotonic()))
        send(bench.rig.crew.family(name)[:1], signal.SIGKILL)
    runs = bench.await_done(jobs, _PATIENCE)
    late = [runs[job][0].start - moment for job, moment in zip(jobs, due, strict=True)]
    yield at_most("a beat killed, with a second one running: jobs begin after they are due", LIMIT, late)
