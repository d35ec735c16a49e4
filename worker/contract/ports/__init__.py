"""The ports: what handlers ask of the outside world, and what an adapter must do."""

from worker.contract.ports.callbacks import CallbackMessage, Callbacks
from worker.contract.ports.database import (
    Executed,
    ExecuteRequest,
    Loaded,
    LoadRequest,
    StatementExecutor,
    TableLoader,
)
from worker.contract.ports.mail import (
    LONGEST_SUBJECT,
    Attachment,
    Content,
    Mail,
    Mailbox,
    Mailer,
    Refusal,
    Sent,
    Templates,
    one_line,
)
from worker.contract.ports.report import RenderedReport, ReportFormat, ReportOrder, Reports
from worker.contract.ports.upkeep import Pruned, Pruner
from worker.contract.ports.web import Fetched, Fetcher, FetchRequest, Unfetchable

__all__ = [
    "LONGEST_SUBJECT",
    "Attachment",
    "CallbackMessage",
    "Callbacks",
    "Content",
    "ExecuteRequest",
    "Executed",
    "FetchRequest",
    "Fetched",
    "Fetcher",
    "LoadRequest",
    "Loaded",
    "Mail",
    "Mailbox",
    "Mailer",
    "Pruned",
    "Pruner",
    "Refusal",
    "RenderedReport",
    "ReportFormat",
    "ReportOrder",
    "Reports",
    "Sent",
    "StatementExecutor",
    "TableLoader",
    "Templates",
    "Unfetchable",
    "one_line",
]
