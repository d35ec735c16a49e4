"""Whole requests and answers for the description, of the kinds that come with Jobyard.

The first is the shortest that works anywhere; the second is a chain, which no schema shows as well.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from api.representations import AcceptedBatch, Job
from worker.contract.states import Priority, State

_ACCEPTED_AT = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
_JOB = UUID("0190a7c0-0000-7000-8000-000000000000")
_BATCH = UUID("0190a7c0-0000-7000-8000-000000000010")
_MEMBERS = [UUID(int=_BATCH.int + number) for number in range(1, 5)]

JOB: Mapping[str, Any] = {"kind": "web.fetch", "payload": {"url": "https://example.com/"}}

ACCEPTED_JOB = Job(
    id=_JOB,
    kind="web.fetch",
    queue="web",
    state=State.QUEUED,
    priority=Priority.NORMAL,
    attempt=0,
    max_attempts=5,
    created_at=_ACCEPTED_AT,
    tags=[],
    links={"self": f"/v1/jobs/{_JOB}", "cancel": f"/v1/jobs/{_JOB}/cancel"},
    payload=JOB["payload"],
)

BATCH: Mapping[str, Any] = {
    "jobs": [
        {
            "name": "fetch",
            "kind": "web.fetch",
            "payload": {"url": "https://example.com/orders.csv", "expected_statuses": [200]},
        },
        {
            "name": "load",
            "kind": "database.load",
            "after": ["fetch"],
            "payload": {
                "source": "warehouse",
                "table": "orders",
                "format": "csv",
                "mode": "append",
                "artifact": {"$from": "fetch", "artifact": "body"},
            },
        },
        {"name": "report", "kind": "report.render", "after": ["load"], "payload": {"report": "sales"}},
        {
            "name": "mail",
            "kind": "email.send",
            "after": ["report"],
            "payload": {
                "to": ["ada@example.org"],
                "subject": "Sales",
                "text": "The report is attached.\n",
                "attachments": [
                    {"name": "sales.pdf", "artifact": {"$from": "report", "artifact": "sales.pdf"}}
                ],
            },
        },
    ]
}

ACCEPTED_BATCH = AcceptedBatch(
    id=_BATCH,
    size=4,
    tags=[],
    created_at=_ACCEPTED_AT,
    finished_at=None,
    done=False,
    counts={State.QUEUED: 1, State.SCHEDULED: 3},
    callback=None,
    job_ids=_MEMBERS,
    names=dict(zip(("fetch", "load", "report", "mail"), _MEMBERS, strict=True)),
    links={
        "self": f"/v1/batches/{_BATCH}",
        "jobs": f"/v1/jobs?batch={_BATCH}",
        "cancel": f"/v1/batches/{_BATCH}/cancel",
    },
)
