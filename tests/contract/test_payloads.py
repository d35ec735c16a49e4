"""Every kind's payload survives the way from a client through the ledger to its handler."""

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.contract.payloads import payloads
from worker import catalog
from worker.catalog import AnyKind
from worker.enqueue import Enqueuer, Submission
from worker.ledger.ids import new_id

CATALOG = catalog.load()
every_kind = pytest.mark.parametrize("kind", CATALOG.values(), ids=CATALOG.keys())
thoroughly = settings(
    max_examples=60,
    deadline=None,  # a busy machine is not a defect
    suppress_health_check=[HealthCheck.filter_too_much],  # some payloads have checks beyond their types
)


@every_kind
@thoroughly
@given(data=st.data())
def test_a_payload_is_the_same_after_the_ledger(kind: AnyKind, data: st.DataObject) -> None:
    sent = data.draw(payloads(kind))
    job = Enqueuer(CATALOG).prepare(Submission(kind=kind.name, payload=msgspec.Raw(sent)), new_id(), None)
    received = msgspec.json.decode(job.payload, type=kind.payload_type)
    assert received == msgspec.json.decode(sent, type=kind.payload_type)


@every_kind
@thoroughly
@given(data=st.data())
def test_a_payload_is_described_in_one_short_printable_line(kind: AnyKind, data: st.DataObject) -> None:
    sent = data.draw(payloads(kind))
    job = Enqueuer(CATALOG).prepare(Submission(kind=kind.name, payload=msgspec.Raw(sent)), new_id(), None)
    assert len(job.description) <= 200
    assert job.description.isprintable()


@every_kind
def test_a_payload_refuses_a_field_that_it_does_not_know(kind: AnyKind) -> None:
    with pytest.raises(msgspec.ValidationError, match="unknown field `of_a_later_version`"):
        msgspec.json.decode(b'{"of_a_later_version": 1}', type=kind.payload_type)


@every_kind
def test_a_payload_cannot_be_changed_by_its_handler(kind: AnyKind) -> None:
    assert kind.payload_type.__struct_config__.frozen
    assert kind.result_type is None or kind.result_type.__struct_config__.frozen
