import falcon
import pytest
from falcon.testing import create_req

from api.errors import Problem
from api.idempotency import IdempotencyKey, idempotency_key


def key_of(header: str) -> str:
    found = idempotency_key(create_req(headers={"Idempotency-Key": header}), b"")
    assert found is not None
    return found.key


@pytest.mark.parametrize(
    ("header", "key"),
    [
        ("8e03978e-40d5-43dd-bc93-6894a57f9324", "8e03978e-40d5-43dd-bc93-6894a57f9324"),
        ('"8e03978e"', "8e03978e"),
        (' "a b" ', "a b"),
        (r'"quote \" and backslash \\"', r'quote " and backslash \\'[:-1]),
        ("a;b=c", "a;b=c"),
        ("x" * 255, "x" * 255),
    ],
)
def test_a_key_may_be_quoted_or_bare(header: str, key: str) -> None:
    assert key_of(header) == key


@pytest.mark.parametrize(
    "header", ["", '""', '"open', 'a"b"'[3:], "x" * 256, "tab\there", "caf\xe9", '"a" "b"']
)
def test_what_is_no_key_is_refused(header: str) -> None:
    with pytest.raises(Problem) as refused:
        key_of(header)
    assert refused.value.status_code == 400


def test_no_header_is_no_key() -> None:
    assert idempotency_key(create_req(), b"{}") is None


def test_a_repetition_has_the_same_fingerprint_and_nothing_else_has() -> None:
    def fingerprint(body: bytes, path: str = "/v1/jobs") -> bytes:
        req: falcon.Request = create_req(method="POST", path=path, headers={"Idempotency-Key": "k"})
        found = idempotency_key(req, body)
        assert isinstance(found, IdempotencyKey)
        return found.fingerprint

    assert fingerprint(b"{}") == fingerprint(b"{}")
    assert len({fingerprint(b"{}"), fingerprint(b"{ }"), fingerprint(b"{}", "/v1/batches")}) == 3
