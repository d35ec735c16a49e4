"""Shorter patience than the product's, for a test cannot wait that long."""

from collections.abc import Mapping

import msgspec

from worker.contract.queues import QUEUES
from worker.runtime import attempt, attendant, process

VARIABLE = "SMOKE_GRACE"  # seconds that handlers get when the worker stops, in the place of the queues' own
_PATIENCE = 3.0  # seconds that a cancelled handler gets, and a frozen process


def shorten(environ: Mapping[str, str]) -> None:
    """Shorten what this process waits for."""
    attempt._CANCEL_GRACE = attendant._FROZEN = _PATIENCE
    if VARIABLE in environ:
        grace = float(environ[VARIABLE])
        process.QUEUES = {  # type: ignore[attr-defined]  # it is for nobody else
            name: msgspec.structs.replace(queue, grace=grace) for name, queue in QUEUES.items()
        }
