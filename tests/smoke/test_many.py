"""Many jobs in one process: claims and outcomes of one moment share a statement, and none is mixed up."""

import pytest

from tests.smoke.client import Client

COUNT = 400


@pytest.mark.parametrize("pool", ["threads", "gevent"])
def test_each_of_many_jobs_is_recorded_exactly_once(client: Client, queue: str) -> None:
    ids = client.submit_many("probe.echo", queue, COUNT, text="one of many")
    client.all_ended(ids)
    assert len(set(ids)) == COUNT
    for job_id in ids:
        job = client.job(job_id)
        assert (job["state"], job["attempt"], job["result"]["text"]) == ("succeeded", 1, "one of many")
        assert client.outcomes(job_id) == ["succeeded"]


@pytest.mark.parametrize("pool", ["threads", "gevent"])
def test_outcomes_of_every_sort_at_once_do_not_hurt_each_other(client: Client, queue: str) -> None:
    sorts = {
        "probe.echo": "succeeded",
        "probe.flaky": "succeeded",
        "probe.fatal": "failed",
        "probe.memory": "failed",
        "probe.wrong": "failed",
        "probe.unsayable": "failed",
    }
    jobs = [client.prepare(kind, queue) for _ in range(15) for kind in sorts]
    for job in jobs:
        client.accept(job)
    client.publish(jobs)
    client.all_ended([job.id for job in jobs])
    for job in jobs:
        assert client.job(job.id)["state"] == sorts[job.kind]
