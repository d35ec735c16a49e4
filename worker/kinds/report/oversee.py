"""`report.oversee`: render any report, those about all clients' jobs too; with the scope `operate` alone."""

from collections.abc import Mapping
from typing import Any, ClassVar

from worker.contract import REPORT, Context, kind, minutes
from worker.contract.ports import Reports
from worker.kinds.report.render import ReportRender, ReportRendered, rendered


class ReportOversee(ReportRender, frozen=True, kw_only=True):
    """Which report to render, and as what; one that is for operators too."""

    EXAMPLE: ClassVar[Mapping[str, Any] | None] = {"report": "activity"}
    NEEDS: ClassVar[str] = "A key with the scope `operate`; the report comes along."


@kind("report.oversee", queue=REPORT, deadline=minutes(10), operator=True)
def oversee(payload: ReportOversee, ctx: Context, reports: Reports) -> ReportRendered:
    """Render any report, those for operators too, and keep it as the artifact `<report>.<format>`.

    For operators is what reads the platform's own ledger, where the jobs of all clients are, unless its
    definition says otherwise: `activity`, `failures`, `queues` and `slowest` come along. Submitting this, and
    running it again, needs a key with the scope `operate`; in all else it is `report.render`.
    """
    return rendered(payload, ctx, reports, operator=True)
