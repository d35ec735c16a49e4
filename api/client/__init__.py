"""A client of the HTTP API in Python, typed and synchronous. Nothing that serves imports it.

    with Client("http://127.0.0.1:8080", key) as client:
        job = client.run("web.fetch", {"url": "https://example.com/"}, timeout=30)
        if job.state == "succeeded":
            client.download(job.id, "body", Path("page.html"))

A broken connection, an API that restarts and a full quota are waited out; nothing is submitted twice by that.
"""

from api.client.answers import (
    Acted,
    Artifact,
    Batch,
    Event,
    Failure,
    FailureGroup,
    FailureList,
    Job,
    ListedBatch,
    Progress,
    Purged,
    Queue,
)
from api.client.client import Client
from api.client.connection import ApiError, Unreachable
from api.client.schedules import Firing, Schedule

__all__ = [
    "Acted",
    "ApiError",
    "Artifact",
    "Batch",
    "Client",
    "Event",
    "Failure",
    "FailureGroup",
    "FailureList",
    "Firing",
    "Job",
    "ListedBatch",
    "Progress",
    "Purged",
    "Queue",
    "Schedule",
    "Unreachable",
]
