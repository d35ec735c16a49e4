"""The slots of a prefork pool, of which only free ones are taken, and whose dead are seen soon.

Billiard takes a child for free until it has said that it began a job. One that was just sent a job, and may
have begun it, would be killed with it: the attempt would be lost.

Celery looks after the pool when a child closes its end of a pipe, which it may do before the system says that
it is dead, and then every five seconds. So do we shortly after such a moment; a child whose own children keep
its pipe open has none, and is missed after five.
"""

from typing import Any

from celery.concurrency.asynpool import AsynPool

_LOOKS = (0.1, 0.5)  # seconds after a child seems to have died


class Slots(AsynPool):
    """Celery's pool of processes, which knows what it has sent and whom it has told to go."""

    _pool: list[Any]
    _busy_workers: set[int]  # the pipes into children that have a job

    def shrink(self, n: int = 1) -> None:
        """End free children, and send them nothing from now on.

        Args:
            n: how many.

        Raises:
            ValueError: fewer are free; those were ended.
        """
        try:
            super().shrink(n)
        finally:
            self._busy_workers.update(child.inqW_fd for child in self._pool if _told_to_go(child))

    def _event_process_exit(self, hub: Any, proc: Any) -> None:
        super()._event_process_exit(hub, proc)  # type: ignore[misc]  # no stub names it
        for pause in _LOOKS:
            hub.call_later(pause, self.maintain_pool)

    def _worker_active(self, worker: Any) -> bool:
        return _told_to_go(worker) or worker.inqW_fd in self._busy_workers or super()._worker_active(worker)  # type: ignore[misc]  # no stub names it


def _told_to_go(child: Any) -> bool:
    told: bool = child._controlled_termination  # noqa: SLF001 - billiard's mark, which it does not read here
    return told
