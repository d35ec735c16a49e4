"""The connections to the ledger as metrics: how many of each pool are open, in use, and allowed."""

from typing import Any

from prometheus_client import CollectorRegistry, Gauge
from sqlalchemy import Pool, event

from worker.ledger.engines import Ledger
from worker.settings import Settings

_USED = "jobyard used"  # mark of a connection that somebody has; the pool may take one in twice


class Connections:
    """The gauges of one process; of several that share a folder, the sum of those that live."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._open = _gauge(registry, "open", "Connections to the ledger")
        self._used = _gauge(registry, "used", "Connections to the ledger that somebody has at the moment")
        self._most = _gauge(registry, "max", "Connections to the ledger that a role may open")

    def watch(self, ledger: Ledger, settings: Settings) -> None:
        """Count the connections of a ledger from now on.

        Args:
            ledger: of this process, before its first use.
            settings: that it was opened with.
        """
        for name, engine in ledger.pools.items():
            self._most.labels(name).inc(settings.database_pool_size + settings.database_pool_overflow)
            self._follow(engine.pool, self._open.labels(name), self._used.labels(name))

    def _follow(self, pool: Pool, open_: Gauge, used: Gauge) -> None:
        def taken(_connection: Any, record: Any, _proxy: Any) -> None:
            record.record_info[_USED] = True
            used.inc()

        def returned(_connection: Any, record: Any) -> None:
            if record.record_info.pop(_USED, False):
                used.dec()

        event.listen(pool, "connect", lambda *_: open_.inc())
        event.listen(pool, "close", lambda *_: open_.dec())
        event.listen(pool, "checkout", taken)
        event.listen(pool, "checkin", returned)


def _gauge(registry: CollectorRegistry, name: str, documentation: str) -> Gauge:
    return Gauge(
        f"jobyard_ledger_connections_{name}",
        documentation,
        ("pool",),
        registry=registry,
        multiprocess_mode="livesum",
    )
