"""Payloads that name what other jobs will have made, as they are checked when they are submitted."""

import time
import tracemalloc
from typing import Any
from uuid import UUID

import msgspec
import pytest

from worker import catalog
from worker.payloads import Checked, Payloads, Refused

CATALOG = catalog.load()
PAYLOADS = Payloads(CATALOG)
FETCH = UUID(int=7)
AFTER = {"fetch": FETCH}

LOAD = {"source": "warehouse", "table": "weather", "format": "csv", "mode": "replace"}
BODY = {"$from": "fetch", "artifact": "body"}


def check(kind: str, payload: object) -> Checked:
    return PAYLOADS.check(CATALOG[kind], msgspec.Raw(msgspec.json.encode(payload)), AFTER)


def refused(kind: str, payload: object) -> Refused:
    with pytest.raises(Refused) as refusal:
        check(kind, payload)
    return refusal.value


def test_an_artifact_may_stand_where_the_kind_takes_the_id_of_one() -> None:
    checked = check("database.load", LOAD | {"artifact": BODY})
    assert checked.refers
    assert msgspec.json.decode(checked.content) == LOAD | {"artifact": BODY | {"$from": str(FETCH)}}


def test_an_attachment_can_be_the_artifact_of_another_job() -> None:
    attached: dict[str, Any] = {"name": "report.pdf", "artifact": BODY}
    mail = {"to": ["a@example.org"], "subject": "s", "text": "t", "attachments": [attached]}
    assert check("email.send", mail).refers
    assert refused("email.send", mail | {"to": []}).field == "payload.to"


def test_the_other_fields_are_checked_as_ever() -> None:
    assert refused("database.load", LOAD | {"artifact": BODY, "mode": "x"}).field == "payload.mode"
    assert refused("database.load", LOAD | {"artifact": BODY, "data": "a"}).field == "payload.data"
    assert refused("database.load", LOAD | {"artifact": BODY, "more": 1}).field == "payload.more"


def test_an_artifact_is_refused_where_none_can_stand() -> None:
    assert (
        refused("database.load", LOAD | {"data": "a", "max_rejected": BODY}).field == "payload.max_rejected"
    )


def test_a_reference_is_refused_where_there_is_no_field() -> None:
    url = {"$from": "fetch", "result": "/url"}
    found = refused("web.fetch", {"url": url, "more": url})
    assert (found.field, "there are: url, method" in found.reason) == ("payload.more", True)


def test_a_result_may_stand_in_any_field() -> None:
    url = {"$from": "fetch", "result": "/url"}
    assert check("web.fetch", {"url": url, "timeout": {"$from": "fetch", "result": "/status"}}).refers
    assert refused("web.fetch", {"url": url, "max_redirects": 99}).field == "payload.max_redirects"


def test_a_description_shows_nothing_of_what_stands_in() -> None:
    checked = check("web.fetch", {"url": {"$from": "fetch", "result": "/url"}})
    assert "example.com" not in checked.description


def test_only_jobs_that_it_comes_after_can_be_named() -> None:
    found = refused("database.load", LOAD | {"artifact": {"$from": "other", "artifact": "body"}})
    assert (found.field, found.reason) == ("payload.artifact", "'other' is none of the jobs in `after`")


def test_text_that_only_looks_like_a_reference_is_text() -> None:
    assert not check("database.load", LOAD | {"data": '{"$from": "x"}'}).refers


def test_very_deep_payloads_are_refused() -> None:
    deep = b'{"$from":' * 100_000 + b"1" + b"}" * 100_000
    with pytest.raises(Refused, match="nested too deeply"):
        PAYLOADS.check(CATALOG["web.fetch"], msgspec.Raw(deep), AFTER)


@pytest.mark.parametrize("marked", [{}, {"mark": {"$from": "fetch", "result": ""}}])
def test_a_payload_is_as_deep_as_everybody_can_read_and_no_deeper(marked: dict[str, Any]) -> None:
    def order(levels: int) -> dict[str, Any]:
        deep: list[Any] = []
        for _ in range(levels - 3):  # the payload, its params and the innermost are levels too
            deep = [deep]
        return {"report": "sales", "params": marked | {"deep": deep}}

    assert check("report.render", order(100)).content
    assert refused("report.render", order(101)).field == "payload"


def test_references_stand_among_few_values() -> None:
    params = {"mark": {"$from": "fetch", "result": ""}, "many": [0] * 9_000}
    assert check("report.render", {"report": "sales", "params": params}).refers
    params["many"] = [0] * 20_000
    assert "into an artifact" in refused("report.render", {"report": "sales", "params": params}).reason


@pytest.mark.parametrize(
    ("pointer", "reason"),
    [
        ("/status", None),
        ("", None),
        ("/headers/etag", None),
        ("/nothing", "the result of web.fetch has no /nothing"),
    ],
)
def test_a_pointer_must_lead_somewhere_in_the_others_result(pointer: str, reason: str | None) -> None:
    checked = check(
        "report.render", {"report": "sales", "params": {"x": {"$from": "fetch", "result": pointer}}}
    )
    if reason is None:
        PAYLOADS.check_results("report.render", checked.takes, {FETCH: "web.fetch"})
    else:
        with pytest.raises(Refused, match=reason):
            PAYLOADS.check_results("report.render", checked.takes, {FETCH: "web.fetch"})


@pytest.mark.parametrize(
    ("field", "pointer", "reason"),
    [
        ("timeout", "/status", None),  # a whole number is a number
        ("max_bytes", "/seconds", None),  # and a number may be whole
        ("body", "/url", None),  # text, or nothing
        ("headers", "/headers", None),
        ("timeout", "/url", "Expected `number`, and /url of web.fetch is `string`"),
        ("body", "/status", "Expected `string`, and /status of web.fetch is `integer`"),
        ("headers", "/redirects", "Expected `object`, and /redirects of web.fetch is `integer`"),
        ("expected_statuses", "", "Expected `array`, and the result of web.fetch is `object`"),
        ("method", "/headers", "Expected `string`, and /headers of web.fetch is `object`"),
    ],
)
def test_a_result_must_be_of_a_type_that_its_field_takes(
    field: str, pointer: str, reason: str | None
) -> None:
    takes = check(
        "web.fetch", {"url": "https://example.com/", field: {"$from": "fetch", "result": pointer}}
    ).takes
    if reason is None:
        PAYLOADS.check_results("web.fetch", takes, {FETCH: "web.fetch"})
        return
    with pytest.raises(Refused) as found:
        PAYLOADS.check_results("web.fetch", takes, {FETCH: "web.fetch"})
    assert (found.value.field, found.value.reason) == (f"payload.{field}", f"result: {reason}")


@pytest.mark.parametrize(
    "name",
    [
        "` unknown field `" * 60_000 + "z - at `$x",
        " - at `$" * 120_000,
        " - at `$" + "[" * 1_000_000,
        "`" * 1_000_000,
        " unknown field `" * 60_000,
    ],
    ids=["fields", "places", "brackets", "ticks", "unfinished fields"],
)
@pytest.mark.parametrize("more", [{}, {"timeout": {"$from": "fetch", "result": ""}}], ids=["plain", "refers"])
def test_what_a_field_is_called_costs_no_time_and_is_not_repeated_at_length(
    name: str, more: dict[str, Any]
) -> None:
    started = time.process_time()
    found = refused("web.fetch", {"url": "https://example.com/", name: 1} | more)
    assert time.process_time() - started < 2.0  # what looks at it over and over takes minutes
    assert len(found.field) + len(found.reason) < 1000


def test_where_references_stand_is_not_written_down_while_nothing_is_wrong_with_them() -> None:
    place = {"x" * 1_000_000: {"$from": "fetch", "result": ""}}
    takes = check("email.send", {"to": ["ada@example.com"], "template": "x", "variables": place}).takes
    tracemalloc.start()
    try:
        PAYLOADS.check_results("email.send", takes, {FETCH: "web.fetch"})
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("name", ["x", "x.y", "", "x`y", "x\ny", "é" * 1000])
def test_a_field_that_there_is_not_is_named(name: str) -> None:
    found = refused("web.fetch", {"url": "https://example.com/", name: 1})
    assert found.field.startswith(f"payload.{name[:200]}".rstrip("."))
    assert found.reason.startswith(f"Object contains unknown field `{name[:200]}")
