"""Accepted jobs a second by batches of 1,000, on four connections, against the tutorial's single tasks."""

from collections.abc import Mapping
from contextlib import ExitStack

from ops.bench import crowd, speech
from ops.bench.course import Course, Invalid
from ops.bench.figures import Round
from ops.bench.ground import Ground, ground
from ops.bench.measures import accept
from ops.bench.rivals import tutor
from ops.bench.turns import Contender, turns

SIZE = 1000

_CONNECTIONS = 4


def measure(course: Course) -> list[Round]:
    """Let both accept in turns."""
    with ground(course) as place, ExitStack() as stack:
        stack.enter_context(place.api())
        contenders: dict[str, Contender] = {"jobyard": lambda: _batches(course, place)}
        if course.wanted("tutorial"):
            address = stack.enter_context(tutor.api(course, place))
            contenders["tutorial"] = lambda: accept.tutorial(course, place, address)
        return turns(course, contenders)


def _batches(course: Course, place: Ground) -> Mapping[str, float]:
    # Made before the time runs: a client of its own machine would have the time.
    made = speech.batches(accept.KIND, SIZE, place.key)
    questions = iter([next(made) for _ in range(course.scale(200, 10))])
    taken = crowd.ask(
        place.api_address,
        questions,
        speech.answer,
        connections=_CONNECTIONS,
        seconds=accept.seconds(course),
    )
    accepted = SIZE * len(speech.ids(taken.answers))
    held = place.count()
    place.clear()
    if held != accepted:
        raise Invalid(f"{accepted} jobs were accepted in batches, and the ledger holds {held}")
    return taken.figures(SIZE)
