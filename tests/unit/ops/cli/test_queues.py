"""The table of queues."""

from datetime import UTC, datetime
from io import StringIO

from rich.console import Console

from api.client import Queue
from ops.cli.queues import queue_table

LATE = Queue(
    name="database",
    depth=10_000,
    oldest_age=3600 * 9.0,
    running=256,
    accepted_per_minute=12_345,
    finished_per_minute=12_345,
    failed_per_minute=1_234,
    paused_at=datetime.now(UTC),
    paused_by="operator ada",
    workers=["database@here"],
)


def test_queues_fit_into_a_narrow_terminal() -> None:
    shown = Console(width=80, file=StringIO())
    shown.print(queue_table([LATE]))
    assert isinstance(shown.file, StringIO)
    words = shown.file.getvalue().split()
    assert {"accepted", "finished", "failed", "workers", "paused", "database", "10,000+"} <= set(words)
    assert {"9h", "256", "12,345", "1,234", "operator", "ada"} <= set(words)
