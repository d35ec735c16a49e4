"""A line of attempts before their deadlines: who comes first is known without a look at all of them.

A process of threads runs a thousand at once, and whoever ends may have been the first.
"""

from uuid import UUID

from worker.runtime.attempt import Attempt


class Lineup:
    """Attempts that run. Those that may run equally long stand in the order in which they came."""

    def __init__(self) -> None:
        self._lines: dict[float, dict[UUID, Attempt]] = {}  # by seconds that an attempt may run, and by token

    def add(self, attempt: Attempt) -> None:
        """Let it stand in line."""
        self._lines.setdefault(attempt.deadline, {})[attempt.job.token] = attempt

    def remove(self, attempt: Attempt) -> None:
        """Let it go, if it is there."""
        self._lines.get(attempt.deadline, {}).pop(attempt.job.token, None)

    def first(self) -> Attempt | None:
        """The one whose deadline comes first."""
        heads = (next(iter(line.values())) for line in self._lines.values() if line)
        return min(heads, key=Attempt.remaining, default=None)
