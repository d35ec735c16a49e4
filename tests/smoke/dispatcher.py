"""The part of beat that workers depend on: what is due is published, what was lost is taken back."""

import threading

from worker.broker import Broker, BrokerDown
from worker.contract.queues import ISOLATION, QUEUES
from worker.ledger import messages, transitions
from worker.ledger.engines import Ledger
from worker.settings import Settings

_ROUND = 0.1  # seconds
_AT_ONCE = 1000


class Dispatcher:
    """Dispatch, rescue and reconcile in a thread, as simple as they can be."""

    def __init__(self, settings: Settings, ledger: Ledger) -> None:
        assert settings.broker_url is not None
        self._settings = settings
        self._ledger = ledger
        self._broker = Broker(settings.broker_url)
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="dispatcher")

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopped.set()
        self._thread.join()
        self._broker.close()

    def _run(self) -> None:
        while not self._stopped.wait(_ROUND):
            try:
                self._reconcile()
                self._dispatch()
            except BrokerDown:
                continue  # the marks of what was not published are reconciled later

    def _reconcile(self) -> None:
        depths = self._broker.depths(QUEUES)
        with self._ledger.write() as connection:
            for name, depth in depths.items():
                if depth == 0:
                    messages.forget_lanes(connection, [name], ISOLATION.name, self._settings.reconcile_empty)

    def _dispatch(self) -> None:
        with self._ledger.write() as connection:
            transitions.make_due(connection, _AT_ONCE)
            transitions.rescue(connection, self._settings.lease, self._settings.loss_cap)
            taken = [
                message
                for queue, alone in messages.publishable_lanes(connection)
                for message in messages.take_publishable(connection, queue, _AT_ONCE, alone=alone)
            ]
        if taken:
            self._broker.publish(taken)
