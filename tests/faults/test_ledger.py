"""PostgreSQL goes away: what is not committed is not accepted, and what ran is recorded once it is back."""

import time
from http import HTTPStatus
from pathlib import Path
from random import Random
from uuid import uuid4

import pytest

from ops.chaos.api import Answer
from ops.chaos.crew import ALL_WORKERS
from ops.chaos.faults import FAULTS
from ops.chaos.rig import Rig
from tests.faults import steps
from tests.faults.bystander import KINDS, Bystander

LONGER_THAN_A_LEASE = 10.0  # seconds
NAMES = (*ALL_WORKERS, "api", "beat", "flower")


@pytest.mark.parametrize(("fault", "lasts"), [("ledger-away", 11.0), ("ledger-restarted", 3.0)])
def test_without_the_ledger_nothing_is_accepted_and_nobody_dies_and_what_ran_is_recorded_after_it(
    rig: Rig, bystander: Bystander, gate: Path, fault: str, lasts: float
) -> None:
    before = {name: rig.crew.main(name) for name in NAMES}
    running = [bystander.submit(kind, gate=str(gate)) for kind in KINDS]
    bystander.running(running)
    with FAULTS[fault].strike(rig, Random(0)):  # noqa: S311 - unused
        gate.touch()
        until = time.monotonic() + lasts
        answers = []
        while time.monotonic() < until:
            answers.append(submit(bystander))
            time.sleep(0.2)
    for answer in answers:
        assert answer.status == HTTPStatus.SERVICE_UNAVAILABLE, answer
        assert answer.content_type == "application/problem+json"
        assert answer.retry_after
    bystander.succeeded(running)
    fresh = [bystander.submit(kind) for kind in KINDS]
    bystander.succeeded(fresh)
    for job_id in running:
        assert bystander.outcomes(job_id) == ["succeeded"]
        assert len(bystander.started(job_id)) == 1
    assert {name: rig.crew.main(name) for name in NAMES} == before


def test_an_outcome_for_which_the_ledger_has_no_room_is_held_and_recorded_once_it_has(
    rig: Rig, bystander: Bystander, gate: Path
) -> None:
    before = {name: rig.crew.main(name) for name in NAMES}
    ids = [bystander.submit(kind, gate=str(gate)) for kind in KINDS]
    bystander.running(ids)
    with steps.no_room(rig):
        gate.touch()
        bystander.finished(ids)
        time.sleep(LONGER_THAN_A_LEASE)
        assert {bystander.job(job_id)["state"] for job_id in ids} == {"running"}
    bystander.succeeded(ids)
    for job_id in ids:
        assert bystander.outcomes(job_id) == ["succeeded"]
        assert len(bystander.started(job_id)) == 1
    assert {name: rig.crew.main(name) for name in NAMES} == before


def test_connections_that_are_cut_and_connections_that_are_not_to_be_had_cost_no_second_run(
    rig: Rig, bystander: Bystander
) -> None:
    before = {name: rig.crew.main(name) for name in NAMES}
    ids = [bystander.submit(kind, seconds=seconds) for kind in KINDS for seconds in (0.2, 1.0, 2.0)]
    for _ in range(3):
        with FAULTS["ledger-connections-cut"].strike(rig, Random(0)):  # noqa: S311 - unused
            time.sleep(0.3)
    with FAULTS["ledger-crowded"].strike(rig, Random(0)):  # noqa: S311 - unused
        time.sleep(3.0)
    bystander.succeeded(ids)
    assert {len(bystander.started(job_id)) for job_id in ids} == {1}
    assert {name: rig.crew.main(name) for name in NAMES} == before


def submit(bystander: Bystander) -> Answer:
    return bystander.api.submit(str(uuid4()), "chaos.email", {"journal": str(bystander.runs)}, {})
