"""What a key may ask for, and what a client may have at once."""

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, suppress
from dataclasses import replace
from uuid import UUID, uuid4

import pytest
from falcon.testing import TestClient

from api.app import Deps, create_app
from api.errors import Problem
from api.limits import RateLimiter
from api.live_jobs import LiveJobs
from ops.embedded.ports import free_ports
from tests.awaiting import eventually
from tests.integration.api.conftest import NewCaller
from tests.integration.api.fakes import Caller
from tests.integration.api.test_acts import act
from tests.integration.api.test_batches import submit
from worker.ledger import jobs
from worker.ledger.engines import Ledger


class Clock:
    """Stands still."""

    def __init__(self) -> None:
        self.now = 1_000_000_040.0  # twenty seconds into a minute

    def __call__(self) -> float:
        return self.now


NewLimiter = Callable[..., RateLimiter]


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def limiter(broker_url: str, clock: Clock) -> Iterator[NewLimiter]:
    with ExitStack() as stack:

        def make(limit: str = "3/minute", url: str = broker_url) -> RateLimiter:
            return stack.enter_context(closing(RateLimiter(limit, url, clock)))

        yield make


@pytest.fixture
def limited(deps: Deps, limiter: NewLimiter, caller: Caller) -> Caller:
    """A caller of an API with a limit."""
    return Caller(TestClient(create_app(replace(deps, rate_limiter=limiter()))), caller.client, caller.key)


def test_every_answer_tells_where_the_key_stands(limited: Caller) -> None:
    for path, remaining in (("/v1/kinds", 2), ("/v1/jobs/x", 1), ("/v1/jobs?page_size=x", 0)):
        headers = limited.get(path).headers
        assert headers["RateLimit-Policy"] == '"key";q=3;w=60'
        assert headers["RateLimit"] == f'"key";r={remaining};t=40'


def test_too_many_requests_are_refused_until_the_next_window(limited: Caller, clock: Clock) -> None:
    for _ in range(3):
        assert limited.get("/v1/kinds").status_code == 200
    answer = limited.get("/v1/kinds")
    assert answer.status_code == 429
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.headers["Retry-After"] == "40"
    assert answer.headers["RateLimit"] == '"key";r=0;t=40'
    assert answer.json["type"] == "urn:jobyard:rate-limited"
    assert "3 requests in 60 s" in answer.json["detail"]
    assert limited.submit().status_code == 429
    clock.now += 40
    assert limited.get("/v1/kinds").status_code == 200


def test_nobody_is_asked_back_before_the_next_window(limited: Caller, clock: Clock) -> None:
    for _ in range(3):
        limited.get("/v1/kinds")
    clock.now += 9.6
    assert limited.get("/v1/kinds").headers["Retry-After"] == "31"
    clock.now += 31
    assert limited.get("/v1/kinds").status_code == 200


def test_each_key_has_a_count_of_its_own(limited: Caller, new_caller: NewCaller) -> None:
    other = new_caller(of=limited)
    for _ in range(4):
        limited.get("/v1/kinds")
    again = Caller(limited._http, other.client, other.key)
    assert again.get("/v1/kinds").headers["RateLimit"] == '"key";r=2;t=40'


def test_probes_and_requests_without_a_key_are_not_counted(limited: Caller) -> None:
    for path in ("/healthz", "/openapi.json"):
        assert "RateLimit" not in limited._http.simulate_get(path).headers
    assert limited._http.simulate_get("/v1/kinds").status_code == 401


def test_without_a_limit_nothing_is_said(caller: Caller) -> None:
    assert "RateLimit" not in caller.get("/v1/kinds").headers


def test_all_processes_count_together(limiter: NewLimiter) -> None:
    key, processes = uuid4(), [limiter() for _ in range(2)]
    assert [process.hit(key).remaining for process in processes * 2] == [2, 1, 0, -1]


def test_without_redis_each_process_counts_for_itself(limiter: NewLimiter) -> None:
    (port,) = free_ports(1)
    for url in (f"redis://127.0.0.1:{port}/0", "amqp://127.0.0.1:1//"):
        key, processes = uuid4(), [limiter(url=url) for _ in range(2)]
        assert [process.hit(key).remaining for process in processes * 2] == [2, 2, 1, 1]


def test_a_redis_that_does_not_answer_is_waited_for_once_a_second_at_most(limiter: NewLimiter) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        lame = limiter("1000/minute", f"redis://127.0.0.1:{silent.getsockname()[1]}/0")
        lame.hit(uuid4())
        assert _connects(silent) > 0
        began = time.monotonic()
        for _ in range(100):
            lame.hit(uuid4())
        assert _connects(silent) <= time.monotonic() - began


def _connects(server: socket.socket) -> int:
    """How many clients came since the last look."""
    server.settimeout(0)
    count = 0
    with suppress(BlockingIOError):
        while True:
            server.accept()[0].close()
            count += 1
    return count


def test_redis_counts_again_when_it_is_back(limiter: NewLimiter, monkeypatch: pytest.MonkeyPatch) -> None:
    one, two = limiter(), limiter()
    key = uuid4()
    monkeypatch.setattr(one, "_ask_again_at", time.monotonic() + 3600)  # as after a failure
    assert one.hit(key).remaining == 2
    two.hit(key)
    monkeypatch.setattr(one, "_ask_again_at", time.monotonic())
    assert eventually(lambda: one.hit(uuid4()) and not one._ask_again_at)
    assert one.hit(key).remaining == 1


# ── live jobs ─────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def live(ledger: Ledger) -> Iterator[LiveJobs]:
    def count() -> dict[UUID, int]:
        with ledger.write() as connection:
            return jobs.live_by_client(connection)

    with closing(LiveJobs(3, count)) as live:
        yield live


@pytest.fixture
def capped(deps: Deps, live: LiveJobs, caller: Caller) -> Caller:
    """A caller of an API whose clients may have three live jobs."""
    return Caller(TestClient(create_app(replace(deps, live_jobs=live))), caller.client, caller.key)


def test_a_client_has_no_more_live_jobs_than_it_may(capped: Caller, live: LiveJobs, tomorrow: str) -> None:
    capped.accepted()
    capped.accepted({"kind": "test.idle", "scheduled_at": tomorrow})
    last = capped.accepted()
    answer = capped.submit(Idempotency_Key="one")
    assert answer.status_code == 429
    assert answer.headers["Retry-After"] == "2"
    assert answer.json["type"] == "urn:jobyard:too-many-live-jobs"
    assert "has about 3 jobs that have not ended, and may have 3" in answer.json["detail"]
    capped.post(f"/v1/jobs/{last['id']}/cancel")
    live.recount()
    capped.accepted(Idempotency_Key="one")
    live.recount()
    assert capped.submit().status_code == 429


def test_a_repetition_is_answered_however_many_jobs_there_are(capped: Caller) -> None:
    first = capped.accepted(Idempotency_Key="again")
    capped.accepted()
    capped.accepted()
    assert capped.submit().status_code == 429
    assert capped.accepted(Idempotency_Key="again")["id"] == first["id"]


def test_a_batch_counts_with_all_of_its_jobs(capped: Caller) -> None:
    batch = {"jobs": [{"kind": "test.idle"}] * 2}
    first = submit(capped, batch, Idempotency_Key="again")
    answer = submit(capped, batch)
    assert (answer.status_code, answer.json["type"]) == (429, "urn:jobyard:too-many-live-jobs")
    capped.accepted()
    assert submit(capped, batch, Idempotency_Key="again").json["id"] == first.json["id"]
    assert len(capped.get("/v1/jobs").json["jobs"]) == 3


def test_clients_do_not_count_for_each_other(capped: Caller, new_caller: NewCaller, live: LiveJobs) -> None:
    for _ in range(3):
        capped.accepted()
    live.recount()
    other = new_caller()
    Caller(capped._http, other.client, other.key).accepted()


def test_what_is_accepted_while_it_is_counted_counts() -> None:
    client = uuid4()

    def count() -> dict[UUID, int]:
        admit(live, client)
        return {client: 1}

    live = LiveJobs(3, count)
    admit(live, client)
    live.recount()
    admit(live, client)
    with pytest.raises(Problem, match="429"):
        admit(live, client)


def admit(live: LiveJobs, client: UUID) -> None:
    with live.admission() as admitting:
        admitting(client, 1)


def fail(live: LiveJobs, client: UUID, *, counted: bool) -> None:
    with live.admission() as admitting:
        admitting(client, 1)
        if counted:
            live.recount()
        raise ValueError("refused")


def test_what_did_not_come_to_be_makes_room_again() -> None:
    client = uuid4()
    live = LiveJobs(1, dict)
    for counted in (False, True, False):
        with pytest.raises(ValueError, match="refused"):
            fail(live, client, counted=counted)
    admit(live, client)
    with pytest.raises(Problem, match="429"):
        admit(live, client)


def test_jobs_that_run_again_count(capped: Caller, live: LiveJobs) -> None:
    earlier = [capped.accepted()["id"] for _ in range(3)]
    for job_id in earlier:
        capped.post(f"/v1/jobs/{job_id}/cancel")
    live.recount()
    for _ in range(2):
        capped.accepted()
    assert capped.post(f"/v1/jobs/{earlier[0]}/retry").status_code == 202
    answer = capped.post(f"/v1/jobs/{earlier[1]}/retry")
    assert (answer.status_code, answer.json["type"]) == (429, "urn:jobyard:too-many-live-jobs")
    assert capped.job(earlier[1])["state"] == "cancelled"
    assert act(capped, "retry", state="cancelled", dry_run=True).status_code == 200
    assert act(capped, "retry", state="cancelled").status_code == 429
    assert capped.post(f"/v1/jobs/{earlier[0]}/retry").status_code == 409


def test_jobs_that_run_again_by_filter_count(capped: Caller, live: LiveJobs) -> None:
    earlier = [capped.accepted()["id"] for _ in range(2)]
    for job_id in earlier:
        capped.post(f"/v1/jobs/{job_id}/cancel")
    live.recount()
    assert act(capped, "retry", state="cancelled").json["changed"] == 2
    capped.accepted()
    assert capped.submit().status_code == 429


def test_a_held_unique_key_is_answered_however_many_jobs_there_are(capped: Caller) -> None:
    keyed = {"kind": "test.idle", "unique_key": "front page"}
    first = capped.accepted(keyed)
    for _ in range(2):
        capped.accepted()
    answer = capped.submit(keyed)
    assert (answer.status_code, answer.json["id"]) == (200, first["id"])


def test_what_is_refused_does_not_count(capped: Caller) -> None:
    first = capped.accepted({"kind": "test.idle", "unique_key": "front page"})
    held = {"jobs": [{"kind": "test.idle", "unique_key": "front page"}, {"kind": "test.idle"}]}
    for _ in range(3):
        assert submit(capped, held).status_code == 422
    assert capped.submit({"kind": "test.idle", "unique_key": "front page"}).json["id"] == first["id"]
    for _ in range(2):
        capped.accepted()


def test_a_batch_that_could_never_be_admitted_is_told_so(capped: Caller) -> None:
    answer = submit(capped, {"jobs": [{"kind": "test.idle"}] * 4})
    assert (answer.status_code, answer.json["type"]) == (422, "urn:jobyard:more-than-may-live")
    assert "these are 4 jobs, and a client may have 3" in answer.json["detail"]


def test_it_counts_by_itself_while_somebody_submits(capped: Caller, live: LiveJobs) -> None:
    live.start()
    eventually(lambda: not live._asked.is_set())
    capped.accepted()
    eventually(lambda: live._counted.get(capped.client.id) == 1)
