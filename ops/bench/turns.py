"""Rounds in turns: every contender once, then every one again, so that all see the same machine."""

from collections.abc import Callable, Mapping

from ops.bench.course import Course, Invalid
from ops.bench.figures import Round

Contender = Callable[[], Mapping[str, float]]


def turns(course: Course, contenders: Mapping[str, Contender]) -> list[Round]:
    """Let each contender run once a round; one that proves nothing is kept with its reason.

    Args:
        course: says how many rounds, and which contenders.
        contenders: by name, in the order of their turns.
    """
    rounds = []
    for number in range(course.rounds):
        for name, contender in contenders.items():
            if course.wanted(name):
                rounds.append(_round(number, name, contender))
                course.say(str(rounds[-1]))
    return rounds


def _round(number: int, name: str, contender: Contender) -> Round:
    try:
        return Round(number=number, contender=name, figures=dict(contender()))
    except Invalid as reason:
        return Round(number=number, contender=name, invalid=str(reason))
