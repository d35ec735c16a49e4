"""Two versions side by side across a migration: each accepts, runs and dispatches what is the other's too."""

import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.faults import versions
from tests.faults.bystander import Bystander
from tests.faults.versions import ROOT, Version
from tests.servers import Servers

KINDS = ("email", "report")  # one of each pool
WORKERS = ("worker email", "worker report")


@pytest.fixture(scope="module")
def servers(embedded: Servers) -> Iterator[dict[str, str]]:
    with embedded.database(migrated=False) as database, embedded.broker() as broker:
        yield {
            "DATABASE_URL": database,
            "BROKER_URL": broker,
            "KINDS": "ops.chaos.kinds",
            "API_WORKERS": "1",
        }


@pytest.fixture(scope="module")
def both(servers: dict[str, str]) -> Iterator[tuple[Version, Version]]:
    """The version before the newest migration, and this one; neither runs yet."""
    with tempfile.TemporaryDirectory(prefix="jobyard-versions-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        old = Version(versions.before_newest_migration(folder / "code"), folder / "old", servers)
        new = Version(ROOT, folder / "new", servers)
        try:
            yield old, new
        finally:
            old.stop()
            new.stop()


@pytest.mark.timeout(400)
def test_versions_do_each_others_jobs_while_one_replaces_the_other(
    both: tuple[Version, Version], tmp_path: Path
) -> None:
    old, new = both
    key, runs = tmp_path / "key", tmp_path / "runs.jsonl"
    before = old.migrate(key).split()[3].rstrip(",")
    old.start("api", "beat", *WORKERS)
    with old.client(key, runs) as old_client, new.client(key, runs) as new_client:
        waiting = [old_client.submit(kind, options=in_seconds(3600)) for kind in KINDS]
        first = submit(old_client)
        old_client.succeeded(first)
        left_over = [old_client.submit(kind, seconds=2.0, failures=1) for kind in KINDS]

        assert f"was {before}" in new.migrate(key)  # expand
        old_client.succeeded(submit(old_client))
        new.start("api")
        new_client.succeeded(submit(new_client))  # by the old workers and the old beat

        new.start("beat", *WORKERS)
        new_client.succeeded([*submit(old_client), *submit(new_client)])

        taken_over = [old_client.submit(kind, seconds=1.0, failures=2) for kind in KINDS]
        old.stop("beat", *WORKERS)
        old_client.succeeded(submit(old_client))  # by the new workers and the new beat
        new_client.succeeded([*left_over, *taken_over])
        for job_id in taken_over:
            assert new_client.outcomes(job_id).count("failed") == 2

        old.stop()  # contract
        new_client.succeeded(submit(new_client))
        for job_id in first:
            assert new_client.job(job_id)["state"] == "succeeded"
        for job_id in waiting:
            assert new_client.job(job_id)["state"] == "scheduled"


def submit(client: Bystander) -> list[str]:
    """Jobs of each pool: to run now, to retry, and to be dispatched in a moment."""
    return [
        client.submit(kind, options=options, **script)
        for kind in KINDS
        for options, script in (({}, {}), ({}, {"failures": 1}), (in_seconds(1), {}))
    ]


def in_seconds(seconds: float) -> dict[str, str]:
    return {"scheduled_at": (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat()}
