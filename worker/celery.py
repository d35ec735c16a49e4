"""The composition root of a worker: `celery -A worker.celery worker`."""

import os
from importlib.metadata import version

from worker import catalog, definitions
from worker.adapters.callbacks import SignedCallbacks
from worker.adapters.http import GuardedFetcher
from worker.adapters.mail import SmtpMailer
from worker.adapters.report import DefinedReports
from worker.adapters.sql import Sources
from worker.adapters.sql.loading import SqlLoader
from worker.adapters.sql.statements import SqlStatements
from worker.adapters.templates import JinjaTemplates
from worker.adapters.upkeep import LedgerPruner
from worker.contract.ports import (
    Callbacks,
    Fetcher,
    Mailer,
    Pruner,
    Reports,
    StatementExecutor,
    TableLoader,
    Templates,
)
from worker.runtime.app import create_app
from worker.settings import Settings

settings = Settings.from_environment(os.environ)
kinds = catalog.load(settings.kind_packages)
known = definitions.load(settings.definitions_path)

app = create_app(
    settings,
    kinds,
    {
        Callbacks: lambda given: SignedCallbacks(given.ledger, plain_http=given.settings.callback_http),
        Fetcher: lambda given: GuardedFetcher(given.settings.web_networks, f"jobyard/{version('jobyard')}"),
        Mailer: lambda given: SmtpMailer(given.settings),
        Pruner: lambda given: LedgerPruner(given.ledger, given.storage, given.settings, kinds.values()),
        Reports: lambda given: DefinedReports(known, Sources(given.settings, known)),
        StatementExecutor: lambda given: SqlStatements(Sources(given.settings, known), known),
        TableLoader: lambda given: SqlLoader(Sources(given.settings, known)),
        Templates: lambda _: JinjaTemplates(known),
    },
)
