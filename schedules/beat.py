"""The composition root of a beat: `celery -A schedules.beat:app beat -S schedules.beat:JobyardScheduler`.

Celery brings the process: command line, signals and loop. Its own schedule of periodic tasks is not used,
for it lives in one process and publishes without asking the ledger.
"""

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from celery import Celery, signals
from celery.beat import Scheduler

from schedules.dispatch import Dispatch, Due
from schedules.files import SHIPPED, Files, ScheduleError, load
from schedules.firing import Firing
from schedules.followups import FollowUps
from schedules.metrics import Metrics
from schedules.observation import Observation
from schedules.reconcile import Reconcile
from schedules.rescue import Rescue
from schedules.rounds import Part, Round, SideRound
from worker import broker, catalog, logs
from worker.contract import KindError
from worker.contract.queues import QUEUES
from worker.enqueue import Enqueuer
from worker.ledger.engines import Ledger
from worker.notices import Notices
from worker.pulse import Page, Pulse, serve
from worker.settings import Settings, SettingsError

CLOSING = 2.0  # seconds that a round which waits for the broker gets at the end


def _settings() -> Settings:
    try:
        settings = Settings.from_environment(os.environ)
    except SettingsError as error:
        sys.exit(f"beat cannot start: {error}")
    if settings.database_url is None or settings.broker_url is None:
        sys.exit("beat cannot start: set JOBYARD_DATABASE_URL and JOBYARD_BROKER_URL, or run `jobyard up`")
    return settings


def _configuration() -> dict[str, Any]:
    settings = _settings()
    url = settings.broker_url or ""
    return {
        "broker_url": url,
        "broker_transport_options": broker.transport_options(url),
        "beat_max_loop_interval": settings.beat_tick,
        "worker_redirect_stdouts": False,
    }


app = Celery("schedules", set_as_current=False)
app.add_defaults(_configuration)


@signals.setup_logging.connect
def _set_up_logs(**_: Any) -> None:
    logs.set_up(_settings(), "beat")


class Beat:
    """Everything that one beat does, and what it holds open."""

    def __init__(self, settings: Settings) -> None:
        self._metrics = metrics = Metrics()
        self._host = settings.metrics_host
        self._port = settings.metrics_port
        kinds = catalog.load(settings.kind_packages)
        enqueuer = Enqueuer(kinds, plain_http=settings.callback_http)
        files = load([SHIPPED, *([Path(settings.schedules)] if settings.schedules else [])], enqueuer)
        self.pulse = Pulse()
        self._ledger = ledger = Ledger.open(settings, "beat")
        metrics.expect(kinds, [file.name for file in files])
        metrics.connections.watch(ledger, settings)
        self._broker = broker.Broker(settings.broker_url or "")
        carrying: list[Part] = [
            Dispatch(
                ledger,
                self._broker,
                settings.broker_depth,
                metrics,
                short=[kind.name for kind in kinds.values() if kind.short],
            ),
            Reconcile(ledger, self._broker, settings, metrics),
        ]
        self._side = SideRound(
            Round("broker", carrying, ledger, settings.beat_tick, metrics), end=self._broker.close
        )
        timed: list[Part] = [
            Files(files, ledger),
            Firing(enqueuer, ledger, metrics, catalog.of_operators(kinds)),
            FollowUps(ledger, enqueuer, metrics, Notices(settings.broker_url or "")),
            Due(ledger, metrics),
            Rescue(ledger, settings, metrics),
            Observation(ledger, QUEUES.values(), settings, metrics),
            self._side,
        ]
        self.round = Round("time", timed, ledger, settings.beat_tick, metrics)

    def start(self) -> None:
        """Begin with what runs beside the loop of `round`."""
        page = Page(self._metrics.registry, self.pulse, ready=lambda: True)
        serve(page, self._host, self._port)
        self._side.start()

    def close(self) -> None:
        """End, and close every connection; harmless when repeated."""
        self._side.stop(CLOSING)
        self._ledger.close()


class JobyardScheduler(Scheduler):
    """Celery's seam for schedulers: each tick is a round of the beat."""

    _beat: Beat

    def setup_schedule(self) -> None:
        """Open everything; a mistake in settings or schedules ends the process with a sentence."""
        if self.app.conf.beat_schedule:
            sys.exit(
                "beat cannot start: beat_schedule is not read, for it fires without the ledger;"
                " make a schedule by `jobyard schedules create`, or a file of it (schedules/README.md)"
            )
        try:
            self._beat = Beat(_settings())
        except (ScheduleError, KindError) as error:
            sys.exit(f"beat cannot start: {error}")
        with _signals_held():  # a thread inherits it, so that signals reach this one
            self._beat.start()

    def tick(self, *_args: Any, **_kwargs: Any) -> float:
        """One round, which a signal does not interrupt; returns the seconds until the next."""
        with _signals_held():
            self._beat.pulse.beat()  # whether the ledger is there or not
            return self._beat.round.run()

    def close(self) -> None:
        """Called at the end, perhaps more than once."""
        self._beat.close()
        super().close()


@contextmanager
def _signals_held() -> Iterator[None]:
    held = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, held)
