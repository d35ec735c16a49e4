"""The tutorial: FastAPI that calls `.delay()` and answers with the task's id, `AsyncResult` for its status.

Run as `uvicorn tutorial:app --workers 2`, beside a worker of `peer_celery`.
"""

from typing import Any

from celery.result import AsyncResult
from fastapi import FastAPI
from peer_celery import app as celery
from peer_celery import noop
from pydantic import BaseModel

app = FastAPI()


class Submission(BaseModel):
    """What is asked for."""

    kind: str
    payload: dict[str, int]


@app.post("/v1/jobs", status_code=202)
def submit(submission: Submission) -> dict[str, str]:
    """Queue a task."""
    return {"id": noop.delay(submission.payload["number"]).id}


@app.get("/v1/jobs/{task_id}")
def status(task_id: str) -> dict[str, Any]:
    """How a task stands."""
    found: AsyncResult = AsyncResult(task_id, app=celery)
    return {"id": task_id, "state": found.state, "result": found.result if found.successful() else None}


@app.get("/readyz")
def ready() -> dict[str, str]:
    """Answer."""
    return {}
