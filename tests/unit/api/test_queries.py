from datetime import UTC, datetime
from typing import Annotated
from uuid import UUID

import msgspec
import pytest
from falcon.testing import create_req

from api.errors import FieldError, Problem
from api.queries import page_start, page_token, query
from api.resources.artifacts import UploadQuery
from worker.ledger.ids import new_id


class Search(msgspec.Struct, forbid_unknown_fields=True):
    size: Annotated[int, msgspec.Meta(ge=1, le=10)] = 5
    word: str | None = None
    least: int | None = None
    since: Annotated[datetime, msgspec.Meta(tz=True)] | None = None


def test_parameters_are_converted_and_have_defaults() -> None:
    assert query(create_req(query_string="size=7&word=a%20b"), Search) == Search(7, "a b")
    assert query(create_req(), Search) == Search()


@pytest.mark.parametrize(
    ("parameters", "field"),
    [
        ("size=0", "size"),
        ("size=11", "size"),
        ("size=", "size"),
        ("size=many", "size"),
        ("size=1&size=2", "size"),
        ("word=a&word=b", "word"),
        ("sice=3", "sice"),
        ("least=null", "least"),
        ("since=0.5", "since"),
        ("since=1e9", "since"),
        ("since=2026-11-22", "since"),
    ],
)
def test_garbage_is_refused_by_the_name_of_its_parameter(parameters: str, field: str) -> None:
    with pytest.raises(Problem) as refused:
        query(create_req(query_string=parameters), Search)
    assert refused.value.status_code == 400
    (error,) = refused.value.members["errors"]
    assert isinstance(error, FieldError)
    assert error.field == field
    assert error.reason


def test_a_parameter_that_is_given_twice_is_told_so() -> None:
    with pytest.raises(Problem) as refused:
        query(create_req(query_string="word=a&word=b"), Search)
    assert refused.value.description == "word: is given more than once"


def test_a_name_that_no_file_can_have_is_told_so() -> None:
    with pytest.raises(Problem) as refused:
        query(create_req(query_string="name=..%2Fx"), UploadQuery)
    assert refused.value.description == (
        "name: is no file's name: no slash, backslash, quotation mark or control character"
    )


def test_a_time_is_read_as_rfc_3339_writes_it() -> None:
    asked = query(create_req(query_string="since=2026-11-22T14:00:00%2B02:00"), Search)
    assert asked.since == datetime(2026, 11, 22, 12, tzinfo=UTC)


def test_an_offset_whose_plus_came_as_a_space_is_told_so() -> None:
    with pytest.raises(Problem) as refused:
        query(create_req(query_string="since=2026-11-22T14:00:00+02:00"), Search)
    assert refused.value.description == (
        "since: Invalid RFC3339 encoded datetime; write it as in 2026-11-23T09:00:00Z;"
        " it was read as '2026-11-22T14:00:00 02:00': write + as %2B, or use Z"
    )


@pytest.mark.parametrize("word", ["yesterday", "2026-11-22", "2026-11-22T14:00:00", "5", "1e9"])
def test_a_bad_time_is_told_with_a_good_one(word: str) -> None:
    with pytest.raises(Problem, match="400") as refused:
        query(create_req(query_string=f"since={word}"), Search)
    assert "write it as in 2026-11-23T09:00:00Z" in str(refused.value.description)


def test_a_page_begins_where_its_token_says() -> None:
    last = new_id()
    assert page_start(page_token(last)) == last
    assert page_token(UUID(int=0)).isascii()


@pytest.mark.parametrize(
    "token", ["", "x", "!!!", "a" * 21, "a" * 23, "a" * 100, "caf\xe9", "A===", "\x00" * 22]
)
def test_a_made_up_token_is_refused(token: str) -> None:
    with pytest.raises(Problem) as refused:
        page_start(token)
    assert refused.value.status_code == 400
