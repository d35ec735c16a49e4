"""A disk is full: that of HOME, with artifacts, logs and metrics, or that of the servers."""

import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from http import HTTPStatus
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from ops.chaos import rig as rigs
from ops.chaos.api import Answer
from ops.chaos.crew import ALL_WORKERS
from ops.chaos.rig import Rig
from tests.awaiting import eventually
from tests.faults.bystander import KINDS, Bystander
from tests.faults.volume import MIB, full, mounted

HOME = 48 * MIB
SERVERS = 160 * MIB  # a new cluster takes half of that
ENOUGH = 50  # tries
NAMES = (*ALL_WORKERS, "api", "beat", "flower")


@pytest.fixture(scope="module")
def cramped() -> Iterator[Rig]:
    """A platform of its own: HOME and servers have a small volume each."""
    with ExitStack() as stack:
        name = stack.enter_context(
            tempfile.TemporaryDirectory(prefix="jobyard-disks-", ignore_cleanup_errors=True)
        )
        folder = Path(name)
        folder.chmod(0o711)
        stack.enter_context(mounted(folder / "home", HOME))
        stack.enter_context(mounted(folder / "servers", SERVERS))
        yield stack.enter_context(rigs.running(folder, os.environ))


@pytest.fixture
def rig(cramped: Rig) -> Rig:
    cramped.settle()
    return cramped


def test_where_home_is_full_attempts_fail_with_the_reason_and_nobody_dies(
    rig: Rig, bystander: Bystander
) -> None:
    before = {name: rig.crew.main(name) for name in NAMES}
    with full(rig.home):
        idle = [bystander.submit(kind) for kind in KINDS for _ in range(5)]
        saving = [bystander.submit(kind, artifact=MIB, options={"max_attempts": 100}) for kind in KINDS]
        bystander.succeeded(idle)  # what needs no room
        for job_id in saving:
            eventually(lambda job_id=job_id: "failed" in bystander.outcomes(job_id))
            failure = next(past for past in bystander.job(job_id)["history"] if past.get("error"))
            assert "No space left on device" in failure["error"]["message"]
    bystander.succeeded(saving)
    assert {name: rig.crew.main(name) for name in NAMES} == before


def test_while_the_servers_disk_is_full_nothing_is_accepted_and_what_ran_is_recorded_after_it(
    rig: Rig, bystander: Bystander, gate: Path
) -> None:
    before = {name: rig.crew.main(name) for name in NAMES}
    running = [bystander.submit(kind, options=bulky(), gate=str(gate)) for kind in KINDS]
    bystander.running(running)
    answers: list[Answer] = []
    with full(rig.ledger.server.home.path):
        while not refused(answers):
            answers += [submit(bystander) for _ in range(ENOUGH)]
        gate.touch()
        while not all(map(bystander.done, running)) or not refused(answers):
            answers += [submit(bystander) for _ in range(ENOUGH)]
    assert {answer.status for answer in answers} <= {HTTPStatus.ACCEPTED, HTTPStatus.SERVICE_UNAVAILABLE}
    for answer in answers[-ENOUGH:]:
        assert answer.content_type == "application/problem+json"
        assert answer.retry_after
    accepted = [answer.body["id"] for answer in answers if answer.status == HTTPStatus.ACCEPTED]
    bystander.succeeded([*running, *accepted])
    for job_id in running:
        assert bystander.outcomes(job_id) == ["succeeded"]
        assert len(bystander.started(job_id)) == 1
    assert {name: rig.crew.main(name) for name in NAMES} == before


def refused(answers: Sequence[Answer]) -> bool:
    """Whether not even a gap is left in a page of the ledger."""
    last = answers[-ENOUGH:]
    return {answer.status for answer in last} == {HTTPStatus.SERVICE_UNAVAILABLE}


def submit(bystander: Bystander) -> Answer:
    return bystander.api.submit(str(uuid4()), "chaos.email", {"journal": str(bystander.runs)}, {})


def bulky() -> dict[str, Any]:
    """Options that need much of a page with every change of the job's state."""
    return {"tags": [f"{uuid4().hex}{uuid4().hex}"[:60] for _ in range(16)]}
