from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from threading import Event, Semaphore

import falcon
import pytest
from falcon.testing import Result, TestClient
from loguru import logger
from sqlalchemy import Connection, event

from api.middleware import authentication
from api.middleware.authentication import KEY_TTL, Authentication
from tests.integration.api.conftest import NewCaller
from tests.integration.api.fakes import Caller, FakePublisher
from worker.ledger import clients
from worker.ledger.engines import Ledger

PROTECTED = ("/v1/jobs", "/v1/jobs/x", "/v1/artifacts/x", "/v1/kinds", "/v1/queues")


@pytest.mark.parametrize("path", PROTECTED)
@pytest.mark.parametrize(
    "given",
    [None, "", "Bearer", "Bearer ", "Basic YTpi", "Bearer jy_unknown", "Bearer a b", "Bearer \xff", "jy_x"],
)
def test_nothing_is_shown_without_a_good_key(http: TestClient, path: str, given: str | None) -> None:
    headers = {} if given is None else {"Authorization": given}
    answer = http.simulate_get(path, headers=headers)
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert "jy_unknown" not in answer.text
    code = "key-not-good" if given == "Bearer jy_unknown" else "key-missing"
    assert answer.json["type"] == f"urn:jobyard:{code}"


def test_the_scheme_may_be_written_in_any_case(http: TestClient, caller: Caller) -> None:
    for scheme in ("Bearer", "bearer", "BEARER"):
        headers = {"Authorization": f"{scheme} {caller.key}"}
        assert http.simulate_get("/v1/kinds", headers=headers).status_code == 200


def test_revoked_and_expired_keys_are_not_good(http: TestClient, caller: Caller, ledger: Ledger) -> None:
    with ledger.write() as connection:
        past = datetime.now(UTC) - timedelta(seconds=1)
        _, expired = clients.add_key(connection, caller.client.id, "expired", past)
        key_id, revoked = clients.add_key(connection, caller.client.id, "revoked")
        clients.revoke_key(connection, key_id)
    for key in (expired, revoked):
        answer = http.simulate_get("/v1/kinds", headers={"Authorization": f"Bearer {key}"})
        assert answer.status_code == 401
        assert 'error="invalid_token"' in answer.headers["WWW-Authenticate"]


class Secret:
    def on_get(self, _req: falcon.Request, resp: falcon.Response) -> None:
        resp.text = "shown"


def test_a_revoked_key_is_good_for_a_few_seconds_at_most(caller: Caller, ledger: Ledger) -> None:
    now = 1000.0
    app = falcon.App(middleware=[Authentication(ledger, timer=lambda: now)])
    app.add_route("/", Secret())

    def ask() -> int:
        headers = {"Authorization": f"Bearer {caller.key}"}
        return TestClient(app).simulate_get("/", headers=headers).status_code

    assert ask() == 200
    with ledger.write() as connection:
        (key,) = clients.keys_of(connection, caller.client.id)
        clients.revoke_key(connection, key["id"])
    now += KEY_TTL - 0.1
    assert ask() == 200
    now += 0.2
    assert ask() == 401


@contextmanager
def statements_of(ledger: Ledger) -> Iterator[list[str]]:
    """What the ledger is asked meanwhile."""
    statements: list[str] = []
    engine = ledger.pools["write"]

    def note(_connection: object, _cursor: object, statement: str, *_more: object) -> None:
        statements.append(statement)

    event.listen(engine, "before_cursor_execute", note)
    yield statements
    event.remove(engine, "before_cursor_execute", note)


def test_what_has_not_the_form_of_a_key_costs_the_ledger_nothing(caller: Caller, ledger: Ledger) -> None:
    wrong = ["jy_unknown", caller.key[:-1], caller.key + "A", caller.key[:-1] + ".", "jz_" + caller.key[3:]]
    with statements_of(ledger) as statements:
        for key in wrong:
            assert caller.call("GET", "/v1/kinds", {"Authorization": f"Bearer {key}"}).status_code == 401
    assert statements == []


def test_whoever_tries_keys_holds_up_other_strangers_alone(
    caller: Caller, new_caller: NewCaller, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked, go_on = Semaphore(0), Event()

    def slow(connection: Connection, key: str) -> clients.Client | None:
        if key.startswith("jy_AAA"):
            looked.release()
            go_on.wait(60)
        return clients.client_of_key(connection, key)

    monkeypatch.setattr(authentication, "client_of_key", slow)
    now = 1000.0
    app = falcon.App(middleware=[Authentication(ledger, timer=lambda: now, patience=0.05)])
    app.add_route("/", Secret())

    def ask(key: str) -> Result:
        return TestClient(app).simulate_get("/", headers={"Authorization": f"Bearer {key}"})

    assert ask(caller.key).status_code == 200
    now += KEY_TTL + 1  # it has to be looked up again
    made_up = [f"jy_AAA{number:040}" for number in range(2)]
    with ThreadPoolExecutor() as threads:
        tried = [threads.submit(ask, key) for key in made_up]
        assert all(looked.acquire(timeout=60) for _ in made_up)
        assert ask(caller.key).status_code == 200
        turned_away = ask(new_caller().key)
        go_on.set()
        assert [trial.result().status_code for trial in tried] == [401, 401]
    assert (turned_away.status_code, turned_away.headers["Retry-After"]) == (503, "1")
    assert ask(new_caller().key).status_code == 200


def test_a_submission_with_a_known_key_is_one_statement(caller: Caller, ledger: Ledger) -> None:
    caller.accepted()
    with statements_of(ledger) as statements:
        caller.accepted()
    (statement,) = statements
    assert "INSERT INTO jobs" in statement


def test_probes_and_the_description_need_no_key(http: TestClient) -> None:
    for path in ("/healthz", "/readyz", "/openapi.json"):
        assert http.simulate_get(path).status_code == 200


def test_a_platform_without_its_broker_is_degraded_and_ready(
    http: TestClient, publisher: FakePublisher
) -> None:
    assert http.simulate_get("/readyz").json == {"status": "ready"}
    publisher.room = False
    answer = http.simulate_get("/readyz")
    assert (answer.status_code, answer.json) == (200, {"status": "degraded"})


def test_kinds_are_listed_with_their_schemas(caller: Caller) -> None:
    answer = caller.get("/v1/kinds")
    assert [kind["name"] for kind in answer.json["kinds"]] == ["test.greet", "test.idle"]
    assert caller.get("/v1/kinds", If_None_Match=answer.headers["ETag"]).status_code == 304


def test_a_request_is_logged_once_and_without_what_the_client_sent(caller: Caller) -> None:
    lines: list[dict[str, object]] = []
    sink = logger.add(
        lambda message: lines.append(message.record["extra"] | {"event": message.record["message"]})
    )
    caller.get("/v1/jobs?tag=confidential", X_Request_Id="abc")
    logger.remove(sink)
    (line,) = (line for line in lines if line.get("request_id") == "abc")  # others log in this process too
    assert isinstance(line.pop("ms"), float)
    assert line == {
        "event": "request",
        "request_id": "abc",
        "method": "GET",
        "route": "/v1/jobs",
        "status": 200,
        "client": caller.client.name,
    }
