"""A soak: `jobyard up` under a light and steady load for long; nothing of it may grow.

Twenty jobs a second, of processes and of threads in turn, each waited for with `Prefer: wait`; seconds and
sizes are looked at all the while. What the last quarter of the time has more than the second one is growth,
where a process grew by more than a tenth and 10 MB, its open files or the connections of PostgreSQL or Valkey
by more than 10, or the median latency by more than half and 20 ms. PostgreSQL's buffers do not count, nor the
files of its own that each session keeps open: caches, both with a limit, which fill as data come.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from urllib.parse import urlsplit

import msgspec
import psutil
import psycopg2
import redis

from ops.bench import memory, pace
from ops.bench.course import Course
from ops.bench.figures import Round, quantile
from ops.bench.ground import libpq
from ops.bench.kinds.bench.single import single
from ops.bench.looks import Look, growth, looks
from ops.bench.pace import Ended
from ops.bench.platform import Platform, platform
from ops.bench.turns import turns
from ops.supervisor import read_status
from worker.contract.queues import EMAIL, REPORT

_RATE = 20.0  # jobs a second: what keeps the newest of something is full before the second quarter ends
_MINUTES = 30.0
_SHORT = 0.2
_PAUSES = 120  # looks in all
_CACHES = "postgres"  # keeps up to a thousand files open for each session (`max_files_per_process`)


class Seen(msgspec.Struct, frozen=True):
    """One look at the platform."""

    megabytes: dict[str, float]  # by process, with its children
    files: dict[str, float]  # open ones, likewise
    connections: dict[str, float]  # by server


def measure(course: Course) -> list[Round]:
    """Go on for as long as was said."""
    return turns(course, {"jobyard": lambda: _soaked(course)})


def _soaked(course: Course) -> Mapping[str, float]:
    seconds = 60 * (course.minutes or (_SHORT if course.short else _MINUTES))
    with platform(course.folder) as running, looks(lambda: see(running), seconds / _PAUSES) as seen:
        api = urlsplit(running.status.urls.api)
        address = api.hostname or "", api.port or 0
        ended = pace.submit(address, running.key, _wish, _RATE, seconds)
    complaints = list(grown(seen, ended))
    for complaint in complaints:
        course.say(complaint)
    return {"things that grew": len(complaints), **_figures(seen, ended)}


def see(running: Platform) -> Seen:
    """Look at every process and every server."""
    record = read_status(running.home)
    families = (
        {each.name: memory.family(each.pid) for each in record.status.processes if each.pid} if record else {}
    )
    return Seen(
        {name: memory.own(family) for name, family in families.items()},
        {name: float(sum(map(_files, family))) for name, family in families.items() if name != _CACHES},
        {"PostgreSQL": _backends(running), "Valkey": _clients(running)},
    )


def grown(seen: Sequence[Look[Seen]], ended: Sequence[Ended]) -> Iterable[str]:
    """What grew more than it may."""
    for name, held in _series(look.seen.megabytes for look in seen).items():
        if growth(held) > max(10.0, 0.1 * held[len(held) // 4]):
            yield f"{name} holds {growth(held):.0f} MB more"
    for what, counts in (
        ("open files", _series(look.seen.files for look in seen)),
        ("connections", _series(look.seen.connections for look in seen)),
    ):
        for name, count in counts.items():
            if growth(count) > 10:  # noqa: PLR2004 - as the docstring says
                yield f"{name} has {growth(count):.0f} more {what}"
    early, late = _quarters(ended)
    if late > max(1.5 * early, early + 0.02):
        yield f"the median latency went from {1000 * early:.0f} to {1000 * late:.0f} ms"


def _figures(seen: Sequence[Look[Seen]], ended: Sequence[Ended]) -> Mapping[str, float]:
    held = _series(look.seen.megabytes for look in seen)
    latencies = [each.seconds for each in ended]
    early, late = _quarters(ended)
    return {
        "jobs": len(ended),
        "p50 ms": 1000 * quantile(latencies, 0.5),
        "p99 ms": 1000 * quantile(latencies, 0.99),
        "p50 ms of the second quarter": 1000 * early,
        "p50 ms of the last": 1000 * late,
        "MB in all": sum(series[-1] for series in held.values()),
        "MB that the one that grew most grew": max(map(growth, held.values())),
        "connections that came to be": sum(
            map(growth, _series(look.seen.connections for look in seen).values())
        ),
        "open files that came to be": sum(map(growth, _series(look.seen.files for look in seen).values())),
    }


def _quarters(ended: Sequence[Ended]) -> tuple[float, float]:
    """Median latencies of the second quarter, and of the last."""
    quarter = max(1, len(ended) // 4)
    early, late = ended[quarter : 2 * quarter] or ended, ended[-quarter:]
    return quantile([each.seconds for each in early], 0.5), quantile([each.seconds for each in late], 0.5)


def _series(looks: Iterable[Mapping[str, float]]) -> dict[str, list[float]]:
    found: dict[str, list[float]] = defaultdict(list)
    for look in looks:
        for name, value in look.items():
            found[name].append(value)
    return found


def _wish(number: int) -> object:
    queue = (REPORT, EMAIL)[number % 2]
    return {"kind": single.name, "queue": queue.name, "payload": {"number": number}}


def _files(process: psutil.Process) -> int:
    try:
        return int(process.num_fds())
    except psutil.Error:
        return 0


def _backends(running: Platform) -> float:
    with psycopg2.connect(libpq(running.status.urls.database)) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'")
        (count,) = cursor.fetchone() or (0,)
    connection.close()
    return float(count)


def _clients(running: Platform) -> float:
    with redis.Redis.from_url(running.status.urls.broker) as client:
        return float(client.info("clients")["connected_clients"])
