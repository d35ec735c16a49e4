"""A shorter grace than that of the queue table, for a test cannot wait that long for a worker to stop."""

from collections.abc import Mapping

import msgspec

from worker.contract.queues import QUEUES
from worker.runtime import process

VARIABLE = "SMOKE_GRACE"  # seconds


def shorten(environ: Mapping[str, str]) -> None:
    """Replace the grace of every queue, in this process."""
    if VARIABLE in environ:
        grace = float(environ[VARIABLE])
        process.QUEUES = {  # type: ignore[attr-defined]  # it is for nobody else
            name: msgspec.structs.replace(queue, grace=grace) for name, queue in QUEUES.items()
        }
