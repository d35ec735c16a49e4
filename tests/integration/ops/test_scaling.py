"""The queries of KEDA's rules, put to a real ledger."""

from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import yaml
from sqlalchemy import Connection, create_engine, text

from worker.contract.queues import WORKERS

FOLDER = Path(__file__).parents[3] / "ops/k8s"
SCALED = [name for name in WORKERS if name != "upkeep"]

_JOB = text("""
    INSERT INTO jobs (id, client_id, kind, queue, state, priority, description, max_attempts, published_at)
    VALUES (:id, :id, 'web.fetch', :queue, :state, 0, '', 1, CASE WHEN :published THEN now() END)
""")


def rule(queue: str) -> dict[str, Any]:
    manifests = yaml.safe_load_all((FOLDER / f"worker-{queue}.yaml").read_text())
    (found,) = (manifest["spec"] for manifest in manifests if manifest["kind"] == "ScaledObject")
    return dict(found)


def backlog(connection: Connection, queue: str) -> int:
    (trigger,) = rule(queue)["triggers"]
    return int(connection.exec_driver_sql(trigger["metadata"]["query"]).scalar_one())


def add(connection: Connection, queue: str, state: str, count: int = 1, *, published: bool = False) -> None:
    rows = [{"id": uuid4(), "queue": queue, "state": state, "published": published} for _ in range(count)]
    connection.execute(_JOB, rows)


@pytest.mark.parametrize("queue", SCALED)
def test_what_waits_and_what_runs_is_counted_and_nothing_of_another_queue(
    database_url: str, queue: str
) -> None:
    engine = create_engine(database_url)
    with engine.connect() as connection:
        assert backlog(connection, queue) == 0
        for state in ("scheduled", "retrying", "running", "queued", "succeeded", "failed", "cancelled"):
            add(connection, queue, state)
            add(connection, "elsewhere", state)
        add(connection, queue, "queued", published=True)
        assert backlog(connection, queue) == 3
        connection.execute(
            text("INSERT INTO queues (name, paused_at) VALUES (:name, now())"), {"name": queue}
        )
        assert backlog(connection, queue) == 1  # a paused queue needs nobody but for what runs
    engine.dispose()


def test_a_backlog_without_end_is_counted_as_far_as_it_matters(database_url: str) -> None:
    engine = create_engine(database_url)
    limits = rule("report")
    most = limits["maxReplicaCount"] * int(limits["triggers"][0]["metadata"]["targetQueryValue"])
    with engine.connect() as connection:
        add(connection, "report", "queued", most + 10)
        assert backlog(connection, "report") == most
    engine.dispose()
