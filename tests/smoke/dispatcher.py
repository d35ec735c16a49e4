"""The part of beat that workers depend on, in a thread: dispatch, rescue and reconcile, without schedules."""

import threading

from schedules.dispatch import Dispatch, Due
from schedules.metrics import Metrics
from schedules.reconcile import Reconcile
from schedules.rescue import Rescue
from schedules.rounds import Round
from worker.broker import Broker
from worker.ledger.engines import Ledger
from worker.settings import Settings


class Dispatcher:
    """Runs rounds until it is stopped."""

    def __init__(self, settings: Settings, ledger: Ledger) -> None:
        metrics = Metrics()
        self._broker = broker = Broker(settings.broker_url or "")
        parts = (
            Due(ledger, metrics),
            Rescue(ledger, settings, metrics),
            Dispatch(ledger, broker, settings.broker_depth, metrics),
            Reconcile(ledger, broker, settings, metrics),
        )
        self._round = Round("smoke", parts, ledger, settings.beat_tick, metrics)
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="dispatcher")

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopped.set()
        self._thread.join()
        self._broker.close()

    def _run(self) -> None:
        pause = 0.0
        while not self._stopped.wait(pause):
            pause = self._round.run()
