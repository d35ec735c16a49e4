"""The app, without a ledger behind it."""

from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry
from sqlalchemy import create_engine

from api.app import Deps, create_app
from api.applications import App
from api.metrics import Metrics
from api.waiting import Waiters
from tests.unit.api.kinds import CATALOG
from worker.ledger.engines import Ledger
from worker.ledger.records import Message
from worker.settings import Settings
from worker.storage import Storage


class NoPublisher:
    def reserve(self, _name: str) -> bool:
        return False

    def publish(self, _message: Message) -> None:
        raise AssertionError("nothing was promised")

    def broker_up(self) -> bool:
        return False


@pytest.fixture(scope="module")
def app() -> App:
    nowhere = create_engine("postgresql+psycopg2://nobody@127.0.0.1:1/none")
    return create_app(
        Deps(
            settings=Settings(),
            catalog=CATALOG,
            ledger=Ledger(nowhere, nowhere),
            storage=Storage(Path("/nonexistent")),
            publisher=NoPublisher(),
            waiters=Waiters(lambda _: []),
            metrics=Metrics(CollectorRegistry()),
        )
    )
