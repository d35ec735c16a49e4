"""The goals that the platform sets itself, in the order of their table."""

from ops.bench import between
from ops.bench.figures import Figure
from ops.bench.goals import AtLeast, AtMost, Goal, Least, Most

_RATE = "per second"
_TUTORIAL = Figure("tutorial", _RATE)
_FASTEST = tuple(Figure(peer, _RATE) for peer in ("dramatiq", "taskiq", "huey", "arq", "rq"))


def _ours(name: str) -> Figure:
    return Figure("jobyard", name)


def _rate(contender: str) -> Figure:
    return Figure(contender, _RATE)


def _drained(what: str, goal: str, times: float, ours: str, *theirs: Figure) -> Goal:
    stands = between.BACKLOG if ours == "prefork backlog" else between.ONE_BY_ONE
    conditions = (AtLeast(times, _rate(ours), theirs),)
    return Goal(measure="drain", what=what, goal=goal, conditions=conditions, between=stands)


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
        between=between.CONSTANT,
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
        measure="together",
        what="accept and drain together, 10 minutes, 70 % of what each can alone",
        goal="p99 of `Prefer: wait` at most 250 ms; tables and indexes stop growing; backlog flat",
        conditions=(
            Most(_ours("p99 ms"), 250),
            Most(_ours("backlog grows by jobs"), 50),
            Most(_ours("partial indexes grow by %"), 10),
            Most(_ours("bytes a job grow by %"), 5),
        ),
        between=between.TOGETHER,
    ),
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
    Goal(
        measure="pages",
        what="the article's 100 pages of 0 to 2 s, over the API",
        goal="at most 1.1 times the ideal 2.0 s, one by one and as a batch",
        conditions=(
            Most(Figure("100 pages one by one", "of the ideal"), 1.1),
            Most(Figure("100 pages as a batch", "of the ideal"), 1.1),
        ),
        between=between.PAGES,
    ),
    Goal(
        measure="pages",
        what="1,000 pages of 2 s on one worker process",
        goal="at most 5 s and 400 MB",
        conditions=(
            Most(Figure("1,000 pages on one worker", "seconds"), 5),
            Most(Figure("1,000 pages on one worker", "worker's MB at most"), 400),
        ),
        between=between.PAGES,
    ),
    *(
        Goal(
            measure="history",
            what=f"10 million jobs in the history, 1 million queued: {what}",
            goal="within 25 % of an empty ledger",
            conditions=(condition,),
        )
        for what, condition in (
            ("accepted/s", AtLeast(0.75, _rate("accept full"), (_rate("accept empty"),))),
            ("drained/s one by one", AtLeast(0.75, _rate("drain full"), (_rate("drain empty"),))),
            ("drained/s from a backlog", AtLeast(0.75, _rate("backlog full"), (_rate("backlog empty"),))),
        )
    ),
    Goal(
        measure="waiting",
        what="clients waiting on one API process",
        goal="5,000, under 400 MB",
        conditions=(Least(_ours("clients"), 5000), Most(_ours("MB"), 400)),
    ),
    Goal(
        measure="due",
        what="100,000 jobs due at one moment, while claims and submissions go on",
        goal="dispatched at 10,000/s at least",
        conditions=(Least(_ours("dispatched per second"), 10_000),),
    ),
    Goal(
        measure="report",
        what="million-row report as CSV",
        goal="at least 100,000 rows/s, under 300 MB",
        conditions=(Least(Figure("csv", "rows per second"), 100_000), Most(Figure("csv", "peak MB"), 300)),
    ),
    Goal(
        measure="report",
        what="million-row report as XLSX",
        goal="at least 20,000 rows/s, under 300 MB",
        conditions=(Least(Figure("xlsx", "rows per second"), 20_000), Most(Figure("xlsx", "peak MB"), 300)),
    ),
    Goal(
        measure="report",
        what="a one-page PDF with a chart, warm",
        goal="at most 300 ms",
        conditions=(Most(Figure("pdf", "ms warm"), 300),),
    ),
    Goal(
        measure="load",
        what="`database.load` of 1 million rows",
        goal="at least 60 % of bare COPY",
        conditions=(AtLeast(0.6, _ours("rows per second"), (Figure("COPY", "rows per second"),)),),
        between=between.LOAD,
    ),
    Goal(
        measure="idle",
        what="the idle platform (`up`)",
        goal="under 3 % of one core and 900 MB in all (PSS); ready 5 s after `up`",
        conditions=(
            Most(_ours("% of one core"), 3),
            Most(_ours("MB"), 900),
            Most(_ours("seconds until ready"), 5),
        ),
        between=between.IDLE,
    ),
    Goal(
        measure="soak",
        what="a soak of 30 minutes",
        goal="no growth of memory, latency, connections or files",
        conditions=(Most(_ours("things that grew"), 0),),
        must=True,
    ),
)  # fmt: skip
