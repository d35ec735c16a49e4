"""The ledger's disk is full: nothing is accepted and nothing lost, and with room again everything goes on."""

import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from falcon.testing import TestClient
from prometheus_client import CollectorRegistry

from api.app import Deps, create_app
from api.metrics import Metrics
from api.waiting import Waiters
from ops.embedded import EmbeddedServers
from tests.awaiting import eventually
from tests.integration.api.fakes import Caller, FakePublisher
from tests.unit.api.kinds import CATALOG
from worker.ledger import clients, migrate
from worker.ledger.engines import Ledger
from worker.settings import Settings
from worker.storage import Storage

MIB = 1024 * 1024
VOLUME = 160 * MIB  # a new cluster takes half of that
_RNG = random.Random(1)  # noqa: S311 - no secret


@pytest.fixture
def volume() -> Iterator[Path]:
    """A small file system of its own, where the servers' account may pass through."""
    with tempfile.TemporaryDirectory(prefix="jobyard-disk-") as name:
        place = Path(name)
        place.chmod(0o711)
        mounting = ["mount", "-t", "tmpfs", "-o", f"size={VOLUME},mode=711", "tmpfs", name]
        if sys.platform != "linux" or os.geteuid() != 0 or subprocess.run(mounting, check=False).returncode:
            pytest.skip("only root may mount a small file system")
        try:
            yield place
        finally:
            subprocess.run(["umount", "--lazy", name], check=True)


def test_nothing_is_accepted_while_the_disk_is_full_and_everything_afterwards(
    volume: Path, tmp_path: Path
) -> None:
    with EmbeddedServers(Settings(home=str(volume / "home"))) as urls:
        settings = Settings(database_url=urls.database_url)
        ledger = Ledger.open(settings, "disk")
        with ledger.write() as connection:
            migrate.upgrade(connection)
            client = clients.add_client(connection, "disk")
            assert client is not None
            _, key = clients.add_key(connection, client.id, "test")
        deps = Deps(
            settings=settings,
            catalog=CATALOG,
            ledger=ledger,
            storage=Storage(tmp_path / "artifacts"),
            publisher=FakePublisher(),
            waiters=Waiters(lambda _ids: ()),
            metrics=Metrics(CollectorRegistry()),
        )
        caller = Caller(TestClient(create_app(deps)), client, key)
        accepted = [caller.accepted()["id"]]
        with _full(volume):
            answers = []
            began = time.monotonic()
            while not answers or answers[-1].status_code == 202:
                assert time.monotonic() - began < 60, "the disk was never full"
                answers.append(caller.submit(_large()))
            accepted += [answer.json["id"] for answer in answers[:-1]]
            assert answers[-1].status_code == 503
            assert int(answers[-1].headers["Retry-After"]) > 0
        eventually(lambda: caller.submit().status_code == 202)
        for job_id in accepted:
            assert caller.get(f"/v1/jobs/{job_id}").status_code == 200
        ledger.close()


def _large() -> dict[str, Any]:
    """A submission that takes a few pages, however it is compressed."""
    numbers = [_RNG.getrandbits(60) for _ in range(2000)]
    return {"kind": "test.greet", "payload": {"name": "Ada", "nested": {"numbers": numbers}}}


@contextmanager
def _full(volume: Path) -> Iterator[None]:
    ballast = volume / "ballast"
    with ballast.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(b"\0" * MIB)
        except OSError:
            pass
    try:
        yield
    finally:
        ballast.unlink()
