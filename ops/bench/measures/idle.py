"""The idle platform, `jobyard up` with all that it starts: how soon it is ready, and what it takes.

It has been set up before, so what is timed is a start and not a first one. Its processor and its memory are
those of all its processes together, servers included; what processes share counts once.
"""

import time
from collections.abc import Mapping

from ops.bench import memory
from ops.bench.course import Course
from ops.bench.figures import Round
from ops.bench.platform import platform
from ops.bench.turns import turns

_SETTLE = 10.0  # seconds after which nothing of the start is left


def measure(course: Course) -> list[Round]:
    """Set it up, then start it again and again."""
    with platform(course.folder):
        pass
    return turns(course, {"jobyard": lambda: _idle(course)})


def _idle(course: Course) -> Mapping[str, float]:
    with platform(course.folder) as running:
        time.sleep(course.scale(int(_SETTLE), 1))
        family = memory.family(running.process.pid)
        before, began = memory.processor(family), time.perf_counter()
        time.sleep(course.scale(60, 2))
        took = (memory.processor(family) - before) / (time.perf_counter() - began)
        return {
            "seconds until ready": running.ready,
            "% of one core": 100 * took,
            "MB": memory.held(memory.family(running.process.pid)),
            "processes": len(family),
        }
