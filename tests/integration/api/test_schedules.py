"""Schedules as clients save, read, change and run them."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
import pytest
from falcon.testing import Result, TestClient
from sqlalchemy import text

import api.scheduling
from api.app import Deps, create_app
from schedules.files import CLIENT, Files
from schedules.firing import Firing
from schedules.metrics import Metrics
from tests.integration.api.conftest import NewCaller
from tests.integration.api.fakes import Caller, unknown_id
from tests.integration.api.server import until
from tests.unit.api.kinds import CATALOG
from worker.contract import Rights, Scopes
from worker.enqueue import Enqueuer
from worker.ledger import agenda, audit, firings
from worker.ledger import schedules as ledger_schedules
from worker.ledger.engines import Ledger
from worker.ledger.firings import NewFiring
from worker.scheduling import Definition, Schedule

DAILY: dict[str, Any] = {
    "name": "morning",
    "kind": "test.greet",
    "payload": {"name": "Ada"},
    "cron": "0 9 * * *",
    "timezone": "Europe/Berlin",
}


def send(caller: Caller, method: str, path: str, wish: object, **headers: str) -> Result:
    named = {"Content-Type": "application/json"} | {
        name.replace("_", "-"): value for name, value in headers.items()
    }
    return caller.call(method, path, named, body=msgspec.json.encode(wish))


def create(caller: Caller, wish: object = DAILY, **headers: str) -> Result:
    return send(caller, "POST", "/v1/schedules", wish, **headers)


def created(caller: Caller, **change: Any) -> dict[str, Any]:
    answer = create(caller, DAILY | change)
    assert answer.status_code == 201, answer.text
    schedule: dict[str, Any] = answer.json
    return schedule


def path_of(schedule: dict[str, Any], more: str = "") -> str:
    return f"/v1/schedules/{schedule['id']}{more}"


def test_a_schedule_is_saved_and_read_with_its_next_five_fire_times(caller: Caller) -> None:
    answer = create(caller, DAILY | {"tags": ["x"], "starts_at": "2026-01-01T00:00:00+01:00"})
    assert answer.status_code == 201
    assert answer.headers["Location"] == path_of(answer.json)

    shown = caller.get(path_of(answer.json))

    assert shown.status_code == 200
    assert shown.json == answer.json
    assert shown.json["payload"] == {"name": "Ada"}
    assert shown.json["starts_at"] == "2025-12-31T23:00:00Z"
    assert shown.json["enabled"] is True
    assert shown.json["from_file"] is False
    times = [datetime.fromisoformat(time) for time in shown.json["next_fire_times"]]
    assert len(times) == 5
    assert times == sorted(times)
    assert {time.hour for time in times} <= {7, 8}
    assert shown.json["next_fire_at"] == shown.json["next_fire_times"][0]


def test_a_schedule_is_small_however_large_a_job_may_be(deps: Deps, caller: Caller) -> None:
    settings = msgspec.structs.replace(deps.settings, api_max_body=1_000_000)
    http = TestClient(create_app(replace(deps, settings=settings)))
    patient = Caller(http, caller.client, caller.key)

    large = DAILY | {"payload": {"name": "x" * 66_000}}
    assert create(patient, large).status_code == 413
    assert send(patient, "PUT", path_of(created(caller)), large).status_code == 413


def test_what_a_client_has_already_is_304(caller: Caller) -> None:
    path = path_of(created(caller))
    tag = caller.get(path).headers["ETag"]

    assert caller.get(path, If_None_Match=tag).status_code == 304


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"cron": "0 25 * * *"}, "cron"),
        ({"cron": "0 0 31 2 *"}, "cron"),
        ({"timezone": "Mars/Olympus"}, "timezone"),
        ({"every": 60}, "every"),
        ({"cron": None}, "cron"),
        ({"cron": None, "every": 0}, "every"),
        ({"cron": None, "at": "2025-01-01T00:00:00Z"}, "at"),
        ({"cron": None, "at": "2025-01-01T00:00:00"}, "at"),
        ({"ends_at": "2025-01-01T00:00:00Z"}, "ends_at"),
        ({"starts_at": "9999-01-01T00:00:00Z"}, "starts_at"),
        ({"jitter": -1}, "jitter"),
        ({"overlap": "maybe"}, "overlap"),
        ({"missed": "some"}, "missed"),
        ({"limit": 501}, "limit"),
        ({"name": "Morning"}, "name"),
        ({"name": "a\n"}, "name"),
        ({"kind": "test.gone"}, "kind"),
        ({"payload": {"name": ""}}, "payload.name"),
        ({"payload": {"name": {"$from": "x", "result": "/y"}}}, "payload.name"),
        ({"callback": "http://example.com/"}, "callback"),
        ({"queue": "nowhere"}, "queue"),
        ({"tags": ["x"] * 20}, "tags"),
        ({"what": 1}, "what"),
    ],
)
def test_a_mistake_is_refused_with_its_field_and_saves_nothing(
    caller: Caller, change: dict[str, Any], field: str
) -> None:
    answer = create(caller, DAILY | change)

    assert answer.status_code == 422, answer.text
    assert [error["field"] for error in answer.json["errors"]] == [field]
    assert caller.get("/v1/schedules").json["schedules"] == []


def test_a_key_saves_and_runs_only_what_it_may_submit(caller: Caller, new_caller: NewCaller) -> None:
    schedule = created(caller)
    bound = new_caller(Rights.of(["test.idle"]), of=caller)

    for answer in (
        create(bound, DAILY | {"name": "other"}),
        send(bound, "PUT", path_of(schedule), DAILY),
        bound.post(path_of(schedule, "/run")),
        bound.post(path_of(schedule, "/enable")),
    ):
        assert (answer.status_code, answer.json["type"]) == (403, "urn:jobyard:kind-not-allowed")


def test_a_name_that_another_request_takes_at_the_same_moment_is_taken(
    caller: Caller, ledger: Ledger
) -> None:
    path = path_of(created(caller, name="evening"))
    waiting = text("SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted)")
    with ThreadPoolExecutor(1) as other, ledger.write() as connection:
        insert = text("""
                INSERT INTO client_schedules (id, client_id, name, definition)
                SELECT gen_random_uuid(), client_id, 'morning', definition FROM client_schedules
                WHERE client_id = :client_id
            """)
        connection.execute(insert, {"client_id": caller.client.id})
        answer = other.submit(send, caller, "PUT", path, DAILY)
        until(lambda: bool(connection.execute(waiting).scalar_one()))

    assert answer.result().status_code == 409
    assert answer.result().json["type"] == "urn:jobyard:schedule-name-held"


def test_a_name_is_unique_among_a_clients_own(caller: Caller, new_caller: NewCaller) -> None:
    created(caller)
    other = created(caller, name="evening")

    for answer in (create(caller), send(caller, "PUT", path_of(other), DAILY)):
        assert (answer.status_code, answer.json["type"]) == (409, "urn:jobyard:schedule-name-held")
    created(new_caller())


def test_a_repetition_under_its_key_saves_nothing_new(caller: Caller) -> None:
    first, second = (create(caller, Idempotency_Key='"k"') for _ in range(2))

    assert (first.status_code, second.status_code) == (201, 201)
    assert second.json == first.json
    assert create(caller, DAILY | {"name": "b"}, Idempotency_Key='"k"').status_code == 422
    caller.call("DELETE", path_of(first.json))
    answer = create(caller, Idempotency_Key='"k"')
    assert (answer.status_code, answer.json["type"]) == (409, "urn:jobyard:idempotency-key-pruned")


def test_a_client_may_have_so_many(caller: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api.scheduling, "MOST_SCHEDULES", 1)
    created(caller)

    answer = create(caller, DAILY | {"name": "one-more"})

    assert (answer.status_code, answer.json["type"]) == (422, "urn:jobyard:too-many-schedules")


def test_schedules_are_listed_page_by_page_and_found_by_name(caller: Caller) -> None:
    for name in ("a", "b", "c"):
        created(caller, name=name)

    first = caller.get("/v1/schedules")
    page = caller.call("GET", "/v1/schedules", query_string="page_size=2").json
    rest = caller.call(
        "GET", "/v1/schedules", query_string=f"page_size=2&page_token={page['next_page_token']}"
    ).json

    assert [each["name"] for each in first.json["schedules"]] == ["c", "b", "a"]
    assert [each["name"] for each in page["schedules"]] == ["c", "b"]
    assert [each["name"] for each in rest["schedules"]] == ["a"]
    assert rest["next_page_token"] is None
    (found,) = caller.call("GET", "/v1/schedules", query_string="name=b").json["schedules"]
    assert found["name"] == "b"
    assert "payload" not in found


def test_another_takes_its_place(caller: Caller) -> None:
    schedule = created(caller)

    answer = send(caller, "PUT", path_of(schedule), DAILY | {"name": "renamed", "cron": None, "every": 60})

    assert answer.status_code == 200
    assert caller.get(path_of(schedule)).json["name"] == "renamed"
    assert (answer.json["cron"], answer.json["every"]) == (None, 60)
    assert answer.json["created_at"] == schedule["created_at"]


def test_it_is_disabled_and_enabled_again(caller: Caller) -> None:
    schedule = created(caller)

    for _ in range(2):
        disabled = caller.post(path_of(schedule, "/disable"))
        assert disabled.status_code == 200
    assert (disabled.json["enabled"], disabled.json["next_fire_at"]) == (False, None)
    assert disabled.json["next_fire_times"] == []
    assert "enable" in disabled.json["links"]
    assert send(caller, "PUT", path_of(schedule), DAILY).json["enabled"] is False, "PUT leaves it as it is"

    enabled = caller.post(path_of(schedule, "/enable")).json
    assert enabled["enabled"] is True
    assert enabled["next_fire_at"] == schedule["next_fire_at"]


def test_what_waited_when_it_was_disabled_makes_no_job(caller: Caller, ledger: Ledger) -> None:
    schedule = created(caller)
    with ledger.write() as connection:
        waits = NewFiring(schedule=schedule["id"], fire_at=ledger_schedules.now(connection))
        firings.record(connection, [waits])

    caller.post(path_of(schedule, "/disable"))

    (fired,) = caller.get(path_of(schedule, "/firings")).json["firings"]
    assert (fired["state"], fired["reason"]) == ("skipped", "disabled")


def test_what_is_deleted_is_gone(caller: Caller) -> None:
    schedule = created(caller)

    answer = caller.call("DELETE", path_of(schedule))

    assert (answer.status_code, answer.content) == (204, b"")
    assert caller.call("DELETE", path_of(schedule)).status_code == 404
    created(caller)


def test_running_it_by_hand_makes_a_job_at_once(caller: Caller) -> None:
    schedule = created(caller, enabled=False)

    first = caller.post(path_of(schedule, "/run"), Idempotency_Key='"k"')
    again = caller.post(path_of(schedule, "/run"), Idempotency_Key='"k"')

    assert first.status_code == again.status_code == 202
    assert again.json["id"] == first.json["id"]
    job = caller.job(first.json["id"])
    assert (job["kind"], job["tags"], job["state"]) == ("test.greet", ["schedule:morning"], "queued")
    (fired,) = caller.get(path_of(schedule, "/firings")).json["firings"]
    assert (fired["job_id"], fired["job_state"], fired["by_hand"]) == (job["id"], "queued", True)
    assert fired["state"] == "fired"
    assert fired["links"] == {"job": f"/v1/jobs/{job['id']}"}


def test_its_history_tells_what_became_of_each_firing(caller: Caller, ledger: Ledger) -> None:
    schedule = created(caller)
    job = caller.accepted()
    base = datetime(2026, 1, 1, tzinfo=UTC)
    fates: list[dict[str, Any]] = [{"job_id": UUID(job["id"])}, {"skipped": "why"}, {}]
    with ledger.write() as connection:
        for number, fate in enumerate(fates):
            fire_at = base + timedelta(hours=number, microseconds=number)
            firings.record(connection, [NewFiring(schedule=schedule["id"], fire_at=fire_at, **fate)])

    shown: list[dict[str, Any]] = []
    query = "page_size=1"
    while True:
        page = caller.call("GET", path_of(schedule, "/firings"), query_string=query).json
        shown += page["firings"]
        if page["next_page_token"] is None:
            break
        query = f"page_size=1&page_token={page['next_page_token']}"

    assert [(each["state"], each["reason"], each["job_state"]) for each in shown] == [
        ("waiting", None, None),
        ("skipped", "why", None),
        ("fired", None, "queued"),
    ]
    assert [each["fire_at"][11:13] for each in shown] == ["02", "01", "00"]


@pytest.mark.parametrize("token", ["x", "AAAAAAAAAAAAAAAAAAAA", "_____________________w"])
def test_a_token_that_was_never_given_out_is_refused(caller: Caller, token: str) -> None:
    schedule = created(caller)

    answer = caller.call("GET", path_of(schedule, "/firings"), query_string=f"page_token={token}")

    assert answer.status_code == 400


EVERY_WAY = [("GET", ""), ("DELETE", ""), ("POST", "/enable"), ("POST", "/disable"), ("POST", "/run")]


@pytest.mark.parametrize(("method", "more"), [*EVERY_WAY, ("GET", "/firings")])
def test_another_clients_is_as_unknown_as_one_that_there_is_not(
    caller: Caller, new_caller: NewCaller, method: str, more: str
) -> None:
    schedule, other = created(caller), new_caller()

    answers = [other.call(method, path_of({"id": id_}, more)) for id_ in (schedule["id"], unknown_id(), "x")]

    assert {answer.status_code for answer in answers} == {404}
    assert {answer.json["type"] for answer in answers} == {"urn:jobyard:no-such-schedule"}
    assert len({answer.json["detail"] for answer in answers}) == 1
    assert send(other, "PUT", path_of(schedule), DAILY).status_code == 404
    assert other.get("/v1/schedules").json["schedules"] == []
    assert other.call("GET", "/v1/schedules", query_string="client=*").status_code == 403
    assert caller.get(path_of(schedule)).json == schedule


def test_a_key_that_may_not_read_is_not_told_the_payload(caller: Caller, new_caller: NewCaller) -> None:
    schedule = created(caller, callback="https://example.com/hook")
    blind = new_caller(of=caller, scopes=Scopes.of(["submit"]))

    shown = blind.post(path_of(schedule, "/disable"))

    assert shown.status_code == 200
    assert (shown.json["payload"], shown.json["callback"]) == (None, None)


def test_an_operator_reaches_every_clients_and_the_audit_log_tells_of_it(
    caller: Caller, new_caller: NewCaller, ledger: Ledger
) -> None:
    schedule, operator = created(caller), new_caller(scopes=Scopes.of(["operate"]))

    listed = operator.call("GET", "/v1/schedules", query_string=f"client={caller.client.name}").json
    for method, more in EVERY_WAY[2:]:
        assert operator.call(method, path_of(schedule, more)).status_code in {200, 202}
    assert send(operator, "PUT", path_of(schedule), DAILY).status_code == 200
    assert operator.call("DELETE", path_of(schedule)).status_code == 204

    assert [each["client"] for each in listed["schedules"]] == [caller.client.name]
    with ledger.write() as connection:
        noted = [row["act"] for row in audit.page(connection, 50) if row["subject"] == schedule["id"]]
    assert noted == ["schedule.delete", "schedule.change", "schedule.run", "schedule.disable"]
    (job,) = caller.get("/v1/jobs").json["jobs"]
    assert job["tags"] == ["schedule:morning"], "it is its owner's"


def test_what_a_file_says_is_disabled_here_and_not_changed(new_caller: NewCaller, ledger: Ledger) -> None:
    wish = {name: value for name, value in DAILY.items() if name != "name"}
    definition = msgspec.json.decode(msgspec.json.encode(wish), type=Definition)
    with ledger.write() as connection:
        todo = agenda.read(connection)
    Files([Schedule.of("of-file", definition)], ledger).run(todo)
    operator = new_caller(scopes=Scopes.of(["operate"]))
    (found,) = operator.call("GET", "/v1/schedules", query_string=f"client={CLIENT}").json["schedules"]

    assert found["from_file"] is True
    for answer in (
        operator.call("DELETE", path_of(found)),
        send(operator, "PUT", path_of(found), DAILY),
    ):
        assert (answer.status_code, answer.json["type"]) == (409, "urn:jobyard:schedule-of-file")
        assert "a file says what the schedule of-file is" in answer.json["detail"]
    assert operator.post(path_of(found, "/disable")).json["enabled"] is False
    Files([Schedule.of("of-file", definition)], ledger).run(todo)
    assert operator.get(path_of(found)).json["enabled"] is False, "it stays so when a beat starts"
    Files([], ledger).run(todo)


def test_a_beat_fires_what_a_client_saved(caller: Caller, ledger: Ledger) -> None:
    schedule = created(caller, cron=None, every=1, jitter=0)
    part = Firing(Enqueuer(CATALOG), ledger, Metrics())
    while not (shown := caller.get(path_of(schedule, "/firings")).json["firings"]):
        with ledger.write() as connection:
            part.run(agenda.read(connection))
    caller.post(path_of(schedule, "/disable"))

    job = caller.job(shown[-1]["job_id"])
    assert job["scheduled_at"] == shown[-1]["fire_at"]
    assert job["tags"] == ["schedule:morning"]


def test_what_is_disabled_owes_nothing_when_it_is_enabled(caller: Caller, ledger: Ledger) -> None:
    schedule = created(caller, cron="* * * * *", missed="all", enabled=False)
    with ledger.write() as connection:
        connection.exec_driver_sql("UPDATE client_schedules SET fired_until = now() - interval '1 day'")
    caller.post(path_of(schedule, "/enable"))

    with ledger.write() as connection:
        stored = ledger_schedules.find(connection, UUID(schedule["id"]), None)
    assert stored
    assert datetime.now(UTC) - stored.fired_until < timedelta(minutes=1)


def test_a_schedule_that_can_fire_no_more_can_be_read_and_disabled(caller: Caller, ledger: Ledger) -> None:
    path = path_of(created(caller))
    with ledger.write() as connection:  # a time zone that this machine does not know
        connection.exec_driver_sql("""
            UPDATE client_schedules
            SET definition = '{"kind": "test.greet", "cron": "0 9 * * *", "timezone": "Mars/Olympus"}'
        """)

    shown = caller.get(path)
    assert (shown.status_code, shown.json["next_fire_times"]) == (200, [])
    assert caller.post(f"{path}/enable").status_code == 422
    disabled = caller.post(f"{path}/disable")
    assert (disabled.status_code, disabled.json["enabled"]) == (200, False)


def test_what_a_later_version_says_of_a_schedule_is_kept(caller: Caller, ledger: Ledger) -> None:
    schedule = created(caller)
    with ledger.write() as connection:
        connection.execute(
            text("""
                UPDATE client_schedules
                SET definition = CAST(CAST(definition AS jsonb) || '{"calendar": "moon"}' AS json)
                WHERE id = :id
            """),
            {"id": schedule["id"]},
        )

    assert caller.get(path_of(schedule)).json == schedule
    caller.post(path_of(schedule, "/disable"))

    with ledger.write() as connection:
        stored = ledger_schedules.find(connection, UUID(schedule["id"]), None)
    assert stored
    assert "moon" in stored.definition
