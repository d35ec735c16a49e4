"""The composition root of Flower: a bare Celery app that knows the broker and no task."""

import os
from typing import Any

from celery import Celery
from flower.api import BaseApiHandler  # type: ignore[import-untyped]  # it has none

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

_write_error = BaseApiHandler.write_error


def _challenge(handler: BaseApiHandler, status_code: int, **words: Any) -> None:
    """Name the realm, as Flower's pages do; its API does not.

    A browser that got the login for a task's page sends it to other paths once these ask for the same realm.
    Without that the buttons on the page did nothing, for whoever came to Flower by a link to it.
    """
    if status_code == 401:  # noqa: PLR2004 - Unauthorized
        handler.set_header("WWW-Authenticate", 'Basic realm="flower"')
    _write_error(handler, status_code, **words)


BaseApiHandler.write_error = _challenge
