"""The Celery app of a worker."""

from celery import Celery
from prometheus_client import CollectorRegistry

from worker.catalog import Catalog
from worker.pulse import Page, Pulse
from worker.runtime import remote, signals, steering, task
from worker.runtime.config import config
from worker.runtime.metrics import Metrics
from worker.runtime.observation import Observation, shown
from worker.runtime.poolcare import PoolCare
from worker.runtime.process import Adapters, Worker
from worker.runtime.runner import check_ports
from worker.settings import Settings


def create_app(settings: Settings, catalog: Catalog, adapters: Adapters) -> Celery:
    """A Celery app that runs the kinds of the catalog.

    Raises:
        ValueError: the settings name no broker.
        PortError: a kind asks for a port that no adapter serves.
    """
    if settings.broker_url is None:
        raise ValueError("no broker: set JOBYARD_BROKER_URL, or run `jobyard up`")
    check_ports(catalog, adapters)
    app = Celery("jobyard", set_as_current=True)
    app.conf.update(config(settings.broker_url))
    registry = CollectorRegistry()
    metrics, pulse = Metrics(registry, catalog), Pulse()
    worker = Worker(settings, catalog, adapters, metrics, pulse)
    page = Page(shown(registry), pulse, lambda: worker.ready)
    app.steps["worker"].add(PoolCare)
    app.events.dispatcher_cls = "worker.runtime.consumer:Dispatcher"
    task.register(app, catalog, lambda: worker.runner)
    remote.connect(worker)
    steering.connect()
    signals.connect(worker, Observation(settings, page), metrics)
    return app
