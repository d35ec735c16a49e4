"""Accepted jobs a second: single submissions on 16 connections, against the tutorial and what is possible.

Nobody takes what is submitted meanwhile: this is what accepting alone can do. The first 2,000 of each round
are published behind their answers, until the broker has no room left; the rest waits in the ledger, as it
would. The ceilings are the same gunicorn with a constant answer, the ledger's own INSERT from as many
connections, each its own transaction, and as many clients that push onto a list of Valkey.
"""

import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from importlib.resources import files

import msgspec

from ops.bench import crowd, speech
from ops.bench.ceilings import ledger
from ops.bench.course import Course, Invalid
from ops.bench.crowd import Address, Taken
from ops.bench.figures import Round
from ops.bench.ground import Ground, ground
from ops.bench.rivals import tutor
from ops.bench.turns import Contender, turns
from ops.embedded.ports import answers, free_ports

CONNECTIONS = 16
KIND = "bench.noop"

_LIST = "bench.pushes"


def measure(course: Course) -> list[Round]:
    """Let all accept in turns; all servers run all the time, and those whose turn it is not idle."""
    with ground(course) as place, ExitStack() as stack:
        stack.enter_context(place.api())
        brief = msgspec.structs.replace(course, short=True)
        singles(place, brief)  # not counted: connections are opened, and the like
        contenders: dict[str, Contender] = {"jobyard": lambda: singles(place, course)}
        if course.wanted("tutorial"):
            address = stack.enter_context(tutor.api(course, place))
            tutorial(brief, place, address)
            contenders["tutorial"] = lambda: tutorial(course, place, address)
        if course.wanted("constant"):
            constant = stack.enter_context(_constant(place))
            contenders["constant"] = lambda: _ask(course, constant).figures()
        contenders["ledger"] = lambda: _ledger(course, place)
        contenders["broker"] = lambda: _broker(course, place)
        return turns(course, contenders)


def singles(place: Ground, course: Course) -> Mapping[str, float]:
    """What the platform accepts; every job must be in its ledger."""
    place.clear()
    taken = _ask(course, place.api_address, place.key)
    return _counted(place, taken, len(speech.ids(taken.answers)))


def tutorial(course: Course, place: Ground, address: Address) -> Mapping[str, float]:
    """What the tutorial accepts; every task must be in its queue."""
    taken = _ask(course, address)
    accepted = len(speech.ids(taken.answers))
    with place.redis() as client:
        client.select(tutor.DATABASE)
        held = client.llen(tutor.QUEUE)
        client.delete(tutor.QUEUE)
    if held != accepted:
        raise Invalid(f"{accepted} tasks were accepted, and the broker holds {held}")
    return taken.figures()


def seconds(course: Course) -> int:
    """Of one round."""
    return course.scale(6, 1)


def _ask(course: Course, address: Address, key: str | None = None) -> Taken:
    questions = speech.submissions(KIND, key)
    return crowd.ask(address, questions, speech.answer, connections=CONNECTIONS, seconds=seconds(course))


def _ledger(course: Course, place: Ground) -> Mapping[str, float]:
    taken = ledger.insert(place, CONNECTIONS, seconds(course))
    return _counted(place, taken, len(taken.answers))


def _counted(place: Ground, taken: Taken, accepted: int) -> Mapping[str, float]:
    held = place.count()
    place.clear()
    if held != accepted:
        raise Invalid(f"{accepted} jobs were accepted, and the ledger holds {held}")
    return taken.figures()


def _broker(course: Course, place: Ground) -> Mapping[str, float]:
    with place.redis() as client:
        greeting = speech.command(b"AUTH", client.connection_pool.connection_kwargs["password"].encode())
        taken = crowd.ask(
            place.redis_address,
            speech.pushes(_LIST),
            speech.reply,
            connections=CONNECTIONS,
            seconds=seconds(course),
            greeting=greeting,
        )
        held = client.llen(_LIST)
        client.delete(_LIST)
    if held != len(taken.answers):
        raise Invalid(f"{len(taken.answers)} pushes, and the list holds {held}")
    return taken.figures()


@contextmanager
def _constant(place: Ground) -> Iterator[Address]:
    port, metrics_port = free_ports(2)
    config = str(files("api") / "gunicorn.conf.py")
    argv = (sys.executable, "-m", "gunicorn", "--config", config, "ops.bench.ceilings.constant:app()")
    with place.program(argv, name="constant", api_port=port, api_metrics_port=metrics_port) as process:
        process.wait(lambda: answers(port, "127.0.0.1", "/readyz"))
        yield "127.0.0.1", port
