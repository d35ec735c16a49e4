"""What faults explain, and for how long: a process that one of them stopped, cut off or ended."""

from collections.abc import Iterable

from ops.chaos.history import Fault
from ops.chaos.past import CLOCKS, Run

_NOTICES = 1.25  # seconds until a worker that is well again has asked the ledger what it still holds
_STOPS = 5.0  # seconds that a handler then gets to stop by itself


class Excuses:
    """What the faults of a run explain.

    Args:
        faults: of the run.
    """

    def __init__(self, faults: Iterable[Fault]) -> None:
        self._faults = tuple(faults)

    def goes_on(self, run: Run, taken: float) -> bool:
        """Whether a run may go on, or even begin, although its job was taken away by a certain moment.

        It may where its process was kept from knowing so, and no longer than it takes to learn it afterwards.
        """
        return any(
            run.pid in fault.stopped
            and fault.at <= taken + CLOCKS
            and run.start <= fault.until + _NOTICES
            and run.seen <= fault.until + _NOTICES + _STOPS
            for fault in self._faults
        )
