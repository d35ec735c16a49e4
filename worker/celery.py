"""The composition root of a worker: `celery -A worker.celery worker`."""

import os
from importlib.metadata import version

from worker import catalog, definitions
from worker.adapters.http import GuardedFetcher
from worker.adapters.upkeep import LedgerPruner
from worker.contract.ports import Fetcher, Pruner
from worker.runtime.app import create_app
from worker.settings import Settings

settings = Settings.from_environment(os.environ)
known = definitions.load(settings.definitions_path)

app = create_app(
    settings,
    catalog.load(settings.kind_packages),
    {
        Fetcher: lambda given: GuardedFetcher(given.settings.web_networks, f"jobyard/{version('jobyard')}"),
        Pruner: lambda given: LedgerPruner(given.ledger, given.storage, given.settings),
    },
)
