"""The composition root of Flower: a bare Celery app that knows the broker and no task."""

import os

from celery import Celery

from worker.broker import transport_options
from worker.settings import Settings

_url = Settings.from_environment(os.environ).broker_url or ""

app = Celery("jobyard")
app.conf.update(
    broker_url=_url,
    broker_transport_options=transport_options(_url),
    broker_connection_retry_on_startup=True,
    accept_content=["json"],
    result_backend=None,
    enable_utc=True,
    timezone="UTC",
)
