"""What `jobyard top` shows: one picture of the platform, drawn from what its API tells."""

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Column, Table
from rich.text import Text

from api.client import Client, FailureGroup, Job, Queue
from ops.cli.plot import plot
from ops.cli.queues import queue_table
from ops.cli.wording import brief

RUNNING = 12  # jobs that are shown
FAILURES = 6  # errors that are shown
_PAST = 600  # looks that the plots remember
_LATELY = timedelta(hours=1)
_BESIDE = 24  # characters of a plot's line that are not plot


class Throughput(NamedTuple):
    """Jobs a minute, over all queues."""

    accepted: float
    finished: float
    failed: float


class Snapshot(NamedTuple):
    """The platform at one moment."""

    moment: datetime
    queues: Sequence[Queue]
    running: Sequence[Job]  # those that were accepted last
    failures: Sequence[FailureGroup]

    @property
    def throughput(self) -> Throughput:
        """How fast all queues together move."""
        return Throughput(
            sum(queue.accepted_per_minute for queue in self.queues),
            sum(queue.finished_per_minute for queue in self.queues),
            sum(queue.failed_per_minute for queue in self.queues),
        )

    def workers(self) -> Mapping[str, Sequence[str]]:
        """Each worker, and the queues that it consumes."""
        found: dict[str, list[str]] = {}
        for queue in self.queues:
            for worker in queue.workers:
                found.setdefault(worker, []).append(queue.name)
        return dict(sorted(found.items()))


def take(client: Client) -> Snapshot:
    """Look at the platform."""
    now = datetime.now(UTC)
    return Snapshot(
        now,
        client.queues(),
        list(client.jobs(RUNNING, state="running", client="*")),
        client.failures(client="*", created_after=(now - _LATELY).isoformat()).failures[:FAILURES],
    )


class Frame:
    """Draws snapshots, one after the other, with what came before as plots."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._past: deque[Throughput] = deque(maxlen=_PAST)
        self._last: Snapshot | None = None

    def add(self, snapshot: Snapshot) -> None:
        """Take a new one."""
        self._last = snapshot
        self._past.append(snapshot.throughput)

    def draw(self, width: int, trouble: str = "") -> RenderableType:
        """The picture.

        Args:
            width: of the terminal, in characters.
            trouble: why there is no newer snapshot.
        """
        if self._last is None:
            return Text(trouble)
        parts: list[RenderableType] = [self._title(self._last, trouble), *self._plots(width)]
        for name, table in _tables(self._last):
            parts += [Text(f"\n{name}", style="bold"), table]
        return Group(*parts)

    def _title(self, snapshot: Snapshot, trouble: str) -> Text:
        title = Text.assemble(("jobyard top", "bold"), f"  {self._url}  {snapshot.moment:%FT%TZ}")
        return title.append(f"  {trouble}", style="red") if trouble else title

    def _plots(self, width: int) -> Iterable[Text]:
        for name, style in (("accepted", "cyan"), ("finished", "green"), ("failed", "red")):
            values = [getattr(past, name) for past in self._past]
            bars = plot(values, max(0, width - _BESIDE))
            yield Text.assemble(f"{name:<9}{values[-1]:>9,.0f}/min  ", (bars, style))


def _tables(snapshot: Snapshot) -> Iterable[tuple[str, RenderableType]]:
    yield "queues", queue_table(snapshot.queues)
    yield "workers", _workers(snapshot)
    yield "running", _running(snapshot) if snapshot.running else Text("nothing", style="dim")
    failures = _failures(snapshot.failures) if snapshot.failures else Text("nothing", style="dim")
    yield "failed, of the jobs of the last hour", failures


def _workers(snapshot: Snapshot) -> RenderableType:
    workers = snapshot.workers()
    if not workers:
        return Text("none: `jobyard worker QUEUE` starts one", style="red")
    table = Table("worker", "consumes", box=None, pad_edge=False, show_header=False)
    for name, queues in workers.items():
        table.add_row(escape(name), ", ".join(queues))
    return table


def _running(snapshot: Snapshot) -> Table:
    table = Table(
        Column("job", no_wrap=True, min_width=36),
        Column("kind", overflow="fold"),
        "queue",
        Column("client", overflow="fold"),
        Column("attempt", justify="right"),
        Column("for", justify="right"),
        box=None,
        pad_edge=False,
    )
    for job in snapshot.running:
        since = (snapshot.moment - job.started_at).total_seconds() if job.started_at else 0.0
        attempt = f"{job.attempt}/{job.max_attempts}"
        table.add_row(job.id, job.kind, job.queue, job.client, attempt, brief(max(0.0, since)))
    return table


def _failures(failures: Iterable[FailureGroup]) -> Table:
    table = Table(
        Column("jobs", justify="right"),
        "kind",
        "error",
        Column("message", no_wrap=True, overflow="ellipsis"),
        box=None,
        pad_edge=False,
    )
    for group in failures:
        table.add_row(str(group.count), *map(escape, (group.kind, group.error_type, group.message)))
    return table
