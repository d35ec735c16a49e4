"""What is said of submissions during an outage."""

from ops.chaos.history import Submitted
from ops.chaos.measure.outage import accepted, slower


def tried(seconds: float, job: str | None = "job") -> Submitted:
    return Submitted(
        at=1.0, key="key", kind="chaos.web", expected=(), seconds=seconds, status=202 if job else 503, job=job
    )


CALM = [tried(0.010)] * 99 + [tried(0.020)] * 2


def test_one_try_that_was_not_accepted_is_one_too_many() -> None:
    assert accepted([tried(0.01)] * 3, 30.0).met
    assert not accepted([tried(0.01), tried(0.01, job=None)], 30.0).met
    assert not accepted([], 30.0).met


def test_the_p99_may_double() -> None:
    assert slower(CALM, [tried(0.040)] * 100).met
    assert not slower(CALM, [tried(0.010)] * 90 + [tried(0.041)] * 10).met
    assert not slower(CALM, []).met
