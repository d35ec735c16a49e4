"""What a worker counts, and under which labels."""

import pytest
from prometheus_client import CollectorRegistry

from tests.unit.worker.runtime.samples import ask, claimed
from worker.contract.states import State
from worker.runtime.metrics import Metrics


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
def metrics(registry: CollectorRegistry) -> Metrics:
    return Metrics(registry, {ask.name: ask})


def test_what_a_worker_may_count_begins_at_0(metrics: Metrics, registry: CollectorRegistry) -> None:
    metrics.expect(["email"])
    for state in ("succeeded", "failed", "cancelled", "retrying"):
        assert registry.get_sample_value("jobyard_attempts_total", {"kind": ask.name, "state": state}) == 0
    waiting = {"kind": ask.name, "queue": "email"}
    assert registry.get_sample_value("jobyard_job_waiting_seconds_count", waiting) == 0


def test_a_worker_of_other_queues_begins_with_nothing(metrics: Metrics, registry: CollectorRegistry) -> None:
    metrics.expect(["web"])
    assert registry.get_sample_value("jobyard_losses_total", {"kind": ask.name}) is None


def test_a_kind_that_nobody_knows_makes_no_label(metrics: Metrics, registry: CollectorRegistry) -> None:
    metrics.ended("made.up", State.FAILED)
    metrics.lost("made.up", State.QUEUED)
    assert registry.get_sample_value("jobyard_attempts_total", {"kind": "unknown", "state": "failed"}) == 1
    assert registry.get_sample_value("jobyard_losses_total", {"kind": "unknown"}) == 1
    assert not [
        sample
        for family in registry.collect()
        for sample in family.samples
        if sample.labels.get("kind") == "made.up"
    ]


@pytest.mark.parametrize(
    ("state", "finished"),
    [(State.SUCCEEDED, 1), (State.FAILED, 1), (State.CANCELLED, 1), (State.RETRYING, 0)],
)
def test_a_job_is_finished_by_a_final_state_alone(
    metrics: Metrics, registry: CollectorRegistry, state: State, finished: int
) -> None:
    metrics.ended(ask.name, state)
    labels = {"kind": ask.name, "state": state.value}
    assert registry.get_sample_value("jobyard_attempts_total", labels) == 1
    assert (registry.get_sample_value("jobyard_jobs_finished_total", labels) or 0) == finished


def test_the_wait_of_a_job_and_its_attempt_are_timed(metrics: Metrics, registry: CollectorRegistry) -> None:
    with metrics.running(claimed(waited=4.0)):
        assert registry.get_sample_value("jobyard_running", {"kind": ask.name}) == 1
    labels = {"kind": ask.name, "queue": "email"}
    assert registry.get_sample_value("jobyard_job_waiting_seconds_sum", labels) == 4.0
    assert registry.get_sample_value("jobyard_attempt_seconds_count", {"kind": ask.name}) == 1
    assert registry.get_sample_value("jobyard_running", {"kind": ask.name}) == 0
