"""The goals that the platform sets itself, in the order of their table."""

from ops.bench.figures import Figure
from ops.bench.goals import AtLeast, AtMost, Goal

_RATE = "per second"
_TUTORIAL = Figure("tutorial", _RATE)
_FASTEST = tuple(Figure(peer, _RATE) for peer in ("dramatiq", "taskiq", "huey", "arq", "rq"))


def _rate(contender: str) -> Figure:
    return Figure(contender, _RATE)


def _drained(what: str, goal: str, times: float, ours: str, *theirs: Figure) -> Goal:
    return Goal(measure="drain", what=what, goal=goal, conditions=(AtLeast(times, _rate(ours), theirs),))


GOALS: tuple[Goal, ...] = (
    Goal(
        measure="accept",
        what="accepted/s, single `POST /v1/jobs`, 16 connections, durable",
        goal="at least 1.5 times the tutorial, and its p99 at most",
        conditions=(
            AtLeast(1.5, _rate("jobyard"), (_TUTORIAL,)),
            AtMost(1.0, Figure("jobyard", "p99 ms"), (Figure("tutorial", "p99 ms"),)),
        ),
    ),
    Goal(
        measure="accept",
        what="the same, of what a constant answer reaches",
        goal="at least half",
        conditions=(AtLeast(0.5, _rate("jobyard"), (_rate("constant"),)),),
    ),
    Goal(
        measure="batches",
        what="accepted/s by batches of 1,000",
        goal="at least 15 times the tutorial's singles",
        conditions=(AtLeast(15, _rate("jobyard"), (_TUTORIAL,)),),
    ),
    _drained("drained/s one by one, prefork", "at least 1.5 times Celery", 1.5, "prefork one by one",
             _rate("celery")),
    _drained("drained/s one by one, threads", "at least 2 times Celery's threads", 2, "threads one by one",
             _rate("celery_threads")),
    _drained("drained/s one by one, prefork", "at least 2.5 times Procrastinate", 2.5, "prefork one by one",
             _rate("procrastinate")),
    _drained("drained/s one by one, threads", "at least 2.5 times Procrastinate", 2.5, "threads one by one",
             _rate("procrastinate")),
    _drained("drained/s one by one, with Flower's events", "at least 1.5 times Celery with events", 1.5,
             "prefork one by one", _rate("celery_events")),
    _drained("drained/s from a backlog (bundles), prefork", "at least 2 times the fastest peer with results",
             2, "prefork backlog", *_FASTEST),
    Goal(
        measure="latency",
        what="submission to result, idle, `Prefer: wait`, prefork",
        goal="at most 1.5 times the tutorial polled every 5 ms, at p50 and p99",
        conditions=tuple(
            AtMost(1.5, Figure("jobyard prefork", name), (Figure("tutorial", name),))
            for name in ("p50 ms", "p99 ms")
        ),
    ),
    Goal(
        measure="latency",
        what="the same, threads",
        goal="at most 1.5 times, at p50 and p99",
        conditions=tuple(
            AtMost(1.5, Figure("jobyard threads", name), (Figure("tutorial", name),))
            for name in ("p50 ms", "p99 ms")
        ),
    ),
)  # fmt: skip
