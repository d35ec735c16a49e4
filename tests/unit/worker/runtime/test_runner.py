"""One job from its claim to its outcome, with a bookkeeper that a test plays."""

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, cast
from uuid import UUID, uuid4

import msgspec
import pytest
from billiard import common
from loguru import logger
from prometheus_client import CollectorRegistry

from tests.unit.worker.runtime.samples import Answer, Question, claimed, kind_of
from worker.contract import Context, Retryable
from worker.contract.states import State
from worker.ledger.engines import Ledger
from worker.ledger.records import Claim, ClaimedJob, Outcome
from worker.runtime import bundle as bundles
from worker.runtime.attempt import Attempt
from worker.runtime.attendant import Attendant
from worker.runtime.bookkeeping import Answers, Batch, Stopped
from worker.runtime.checkpoints import Checkpoints
from worker.runtime.metrics import Metrics
from worker.runtime.runner import Incarnation, PortError, Runner, check_ports
from worker.storage import Storage

Handler = Callable[..., Any]


class Bookkeeper:
    """Gives out one job, and writes down what is said of it."""

    def __init__(self) -> None:
        self.job: ClaimedJob | None = claimed()
        self.said: list[Outcome] = []
        self.written: list[Batch] = []
        self.claim_error: Exception | None = None
        self.refusals: list[Exception] = []
        self.taken_away = False

    def write(self, batch: Batch) -> Answers:
        self.written.append(batch)
        if self.claim_error is not None and batch.claims:
            raise self.claim_error
        self.said += batch.outcomes
        if self.refusals and batch.outcomes:
            raise self.refusals.pop(0)
        recorded = {} if self.taken_away else {said.job_id: said.state for said in batch.outcomes}
        return Answers(claimed=self._claimed(batch.claims), recorded=recorded)

    def _claimed(self, claims: Sequence[Claim]) -> dict[UUID, ClaimedJob]:
        return {
            claim.job_id: msgspec.structs.replace(self.job, id=claim.job_id, token=claim.token)
            for claim in claims
            if self.job is not None
        }


class Watcher:
    """An attendant that does what a test told it before, once a handler begins."""

    def __init__(self) -> None:
        self.watched: list[Attempt] = []
        self.overrun = False

    @contextlib.contextmanager
    def watch(self, attempt: Attempt) -> Iterator[None]:
        self.watched.append(attempt)
        attempt.overrun = self.overrun
        yield


@pytest.fixture
def bookkeeper() -> Bookkeeper:
    return Bookkeeper()


@pytest.fixture
def watcher() -> Watcher:
    return Watcher()


class Make(Protocol):
    def __call__(self, handler: Handler, ports: Mapping[type, object] | None = None) -> Runner: ...


@pytest.fixture
def make(bookkeeper: Bookkeeper, watcher: Watcher, tmp_path: Path) -> Make:
    def runner(handler: Handler, ports: Mapping[type, object] | None = None) -> Runner:
        kind = kind_of(handler)
        if bookkeeper.job is not None:
            bookkeeper.job = claimed(kind=kind.name)
        return Runner(
            incarnation=Incarnation(uuid4(), "worker"),
            alone=False,
            catalog={kind.name: kind},
            ports=ports or {},
            ledger=cast("Ledger", None),
            storage=Storage(tmp_path),
            checkpoints=cast("Checkpoints", None),
            bookkeeper=bookkeeper,
            attendant=cast("Attendant", watcher),
            metrics=Metrics(CollectorRegistry(), {kind.name: kind}),
            told_to_stop=lambda: False,
        )

    return runner


def run(runner: Runner, job_id: UUID) -> Outcome | None:
    """A job alone."""
    return runner.run([job_id]).get(job_id)


def answer(payload: Question, ctx: Context) -> Answer:
    return Answer(text=f"attempt {ctx.attempt}{payload.text}")


def test_a_job_runs_from_its_claim_to_its_outcome(make: Make, bookkeeper: Bookkeeper) -> None:
    outcome = run(make(answer), job_id := uuid4())
    assert outcome is not None
    assert (outcome.state, outcome.job_id) == (State.SUCCEEDED, job_id)
    assert bookkeeper.said == [outcome]


def test_a_job_that_cannot_be_had_is_not_run(make: Make, bookkeeper: Bookkeeper, watcher: Watcher) -> None:
    bookkeeper.job = None
    assert run(make(answer), uuid4()) is None
    assert watcher.watched == []


def test_a_job_that_was_taken_away_meanwhile_has_no_outcome(make: Make, bookkeeper: Bookkeeper) -> None:
    bookkeeper.taken_away = True
    assert run(make(answer), uuid4()) is None


def test_a_handler_gets_its_ports_by_their_types(make: Make) -> None:
    class Port:
        text = "through the port"

    def handler(_payload: Question, _ctx: Context, port: Port) -> Answer:
        return Answer(text=port.text)

    handler.__annotations__["port"] = Port  # a local class
    outcome = run(make(handler, {Port: Port()}), uuid4())
    assert outcome is not None
    assert outcome.result == b'{"text":"through the port"}'


@pytest.mark.parametrize(
    ("error", "name"), [(ValueError("x"), "ValueError"), (MemoryError(), "MemoryError"), (SystemExit(1),) * 2]
)
def test_whatever_a_handler_raises_is_a_failed_attempt(
    make: Make, error: BaseException, name: object
) -> None:
    def handler(_payload: Question, _ctx: Context) -> None:
        raise error

    outcome = run(make(handler), uuid4())
    assert outcome is not None
    assert outcome.state is State.RETRYING
    assert outcome.error is not None
    assert outcome.error.type == (name if isinstance(name, str) else "SystemExit")


def test_the_exit_of_a_process_that_was_told_to_end_is_no_outcome(
    make: Make, bookkeeper: Bookkeeper, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SIGTERM in a child of the pool raises SystemExit in the middle of whatever runs there."""
    monkeypatch.setattr(common, "_should_have_exited", [True])

    def handler(_payload: Question, _ctx: Context) -> None:
        raise SystemExit(-241)

    with pytest.raises(SystemExit):
        run(make(handler), uuid4())
    assert bookkeeper.said == []


@pytest.mark.parametrize("ending", ["returns", "raises"])
def test_an_overrun_counts_however_the_handler_ends(make: Make, watcher: Watcher, ending: str) -> None:
    watcher.overrun = True

    def handler(_payload: Question, _ctx: Context) -> None:
        if ending == "raises":
            raise Retryable("something else", after=1.0)

    outcome = run(make(handler), uuid4())
    assert outcome is not None
    assert outcome.error is not None
    assert outcome.error.type == "DeadlineExceeded"


def test_a_payload_of_another_version_fails_the_job(make: Make, bookkeeper: Bookkeeper) -> None:
    runner = make(answer)
    assert bookkeeper.job is not None
    wrong = bookkeeper.job = claimed(kind=bookkeeper.job.kind, payload='{"no_field": 1}')
    outcome = run(runner, wrong.id)
    assert outcome is not None
    assert (outcome.state, outcome.error and outcome.error.type) == (State.FAILED, "Fatal")
    assert outcome.error is not None
    assert "no_field" in outcome.error.message


def test_a_kind_that_this_worker_does_not_know_fails_the_job(make: Make, bookkeeper: Bookkeeper) -> None:
    runner = make(answer)
    bookkeeper.job = claimed(kind="of.tomorrow")
    outcome = run(runner, uuid4())
    assert outcome is not None
    assert (outcome.state, outcome.error and outcome.error.type) == (State.FAILED, "UnknownKind")


def test_the_artifacts_of_an_attempt_go_with_its_outcome(make: Make) -> None:
    def handler(_payload: Question, ctx: Context) -> None:
        with ctx.save_artifact("a") as file:
            file.write(b"content")

    outcome = run(make(handler), uuid4())
    assert outcome is not None
    assert [artifact.name for artifact in outcome.artifacts] == ["a"]


@pytest.mark.parametrize("refusal", [ValueError("NUL"), UnicodeEncodeError("utf-8", "\udcff", 0, 1, "no")])
def test_an_outcome_that_cannot_be_recorded_becomes_one_that_can(
    make: Make, bookkeeper: Bookkeeper, refusal: Exception
) -> None:
    bookkeeper.refusals = [refusal]
    outcome = run(make(answer), uuid4())
    assert outcome is not None
    assert outcome.state is State.FAILED
    assert outcome.error is not None
    assert outcome.error.type == "OutcomeUnrecordable"
    assert outcome.token == bookkeeper.said[0].token


def test_a_job_is_in_hand_from_its_claim_to_the_record_of_its_outcome(make: Make) -> None:
    seen: list[set[UUID]] = []

    def handler(_payload: Question, _ctx: Context) -> None:
        seen.append(runner.in_hand())

    runner = make(handler)
    run(runner, job_id := uuid4())
    assert seen == [{job_id}]
    assert runner.in_hand() == set()


def test_a_job_stays_in_hand_while_an_attempt_of_it_that_was_taken_away_ends(make: Make) -> None:
    """It was claimed again by the same process, where its first handler still ran."""
    seen: list[set[UUID]] = []

    def handler(_payload: Question, _ctx: Context) -> None:
        if not seen:
            seen.append(runner.in_hand())
            run(runner, job_id)
            seen.append(runner.in_hand())

    runner = make(handler)
    job_id = uuid4()
    run(runner, job_id)
    assert seen == [{job_id}, {job_id}]
    assert runner.in_hand() == set()


def test_a_worker_that_stops_turns_messages_away(make: Make, bookkeeper: Bookkeeper) -> None:
    runner = make(answer)
    runner.stopping = True
    assert run(runner, job_id := uuid4()) is None
    assert runner.turned_away == [job_id]
    assert bookkeeper.said == []


def test_a_claim_that_a_stopping_worker_gave_up_is_turned_away(make: Make, bookkeeper: Bookkeeper) -> None:
    bookkeeper.claim_error = Stopped()
    runner = make(answer)
    assert run(runner, job_id := uuid4()) is None
    assert runner.turned_away == [job_id]


def test_a_kind_whose_port_nobody_serves_stops_the_worker_at_boot() -> None:
    class Telegraph:
        pass

    def handler(_payload: Question, _ctx: Context, wire: Telegraph) -> None: ...

    handler.__annotations__["wire"] = Telegraph
    kind = kind_of(handler)
    with pytest.raises(PortError, match=r"sample\.made: no adapter serves its port wire: Telegraph"):
        check_ports({kind.name: kind}, {})
    check_ports({kind.name: kind}, {Telegraph: Telegraph})


def test_the_jobs_of_a_bundle_share_their_statements(make: Make, bookkeeper: Bookkeeper) -> None:
    ids = [uuid4() for _ in range(4)]
    outcomes = make(answer).run(ids)
    assert list(outcomes) == ids
    assert {outcome.state for outcome in outcomes.values()} == {State.SUCCEEDED}
    assert [(len(word.claims), len(word.outcomes)) for word in bookkeeper.written] == [(4, 0), (0, 4)]


@pytest.mark.parametrize(("count", "alone"), [(1, True), (2, False)])
def test_a_job_in_a_bundle_is_not_alone_in_its_process(
    make: Make, bookkeeper: Bookkeeper, count: int, *, alone: bool
) -> None:
    runner = make(answer)
    runner._alone = True
    runner.run([uuid4() for _ in range(count)])
    assert {wish.alone for wish in bookkeeper.written[0].claims} == {alone}


def test_what_a_handler_raises_is_its_own_jobs_affair(make: Make) -> None:
    calls: list[str] = []

    def handler(_payload: Question, ctx: Context) -> None:
        calls.append(ctx.job_id)
        if len(calls) == 2:
            raise ValueError("no")

    states = [outcome.state for outcome in make(handler).run([uuid4() for _ in range(3)]).values()]
    assert states == [State.SUCCEEDED, State.RETRYING, State.SUCCEEDED]


def test_one_outcome_of_a_bundle_that_cannot_be_recorded_does_not_hurt_the_others(
    make: Make, bookkeeper: Bookkeeper
) -> None:
    bookkeeper.refusals = [ValueError("all"), ValueError("the first")]
    first, *others = make(answer).run([uuid4() for _ in range(3)]).values()
    assert first.error is not None
    assert first.error.type == "OutcomeUnrecordable"
    assert {outcome.state for outcome in others} == {State.SUCCEEDED}


def test_a_worker_that_is_told_to_stop_begins_no_further_job_of_a_bundle(
    make: Make, bookkeeper: Bookkeeper
) -> None:
    runner = make(answer)
    runner._told_to_stop = lambda: True
    ids = [uuid4() for _ in range(3)]
    assert list(runner.run(ids)) == ids[:1]
    last = bookkeeper.written[-1]
    assert [outcome.job_id for outcome in last.outcomes] == ids[:1]
    assert {job.id for job in last.returned} == set(ids[1:])
    assert runner.in_hand() == set()


def test_the_claims_of_what_waits_are_seen_again_before_it_begins(
    make: Make, bookkeeper: Bookkeeper, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its tokens are the same; what is no longer to be had, or was cancelled, does not begin."""
    monkeypatch.setattr(bundles, "FRESH", -1.0)
    ran: list[str] = []

    def handler(_payload: Question, ctx: Context) -> None:
        ran.append(ctx.job_id)
        assert bookkeeper.job is not None
        bookkeeper.job = msgspec.structs.replace(bookkeeper.job, cancel_requested=True)

    ids = [uuid4() for _ in range(2)]
    outcomes = make(handler).run(ids)
    assert [outcome.state for outcome in outcomes.values()] == [State.SUCCEEDED, State.CANCELLED]
    assert ran == [str(ids[0])]
    first, second = (word.claims for word in bookkeeper.written[:2])
    assert second == first[1:]

    bookkeeper.job = claimed(kind=bookkeeper.job.kind) if bookkeeper.job else None

    def taken_away(_payload: Question, _ctx: Context) -> None:
        bookkeeper.job = None

    assert list(make(taken_away).run(ids)) == ids[:1]


def test_a_job_that_succeeds_in_a_bundle_has_no_line_in_the_log(make: Make) -> None:
    lines: list[str] = []
    sink = logger.add(lambda line: lines.append(line.strip()), format="{message}", level="INFO")
    try:
        make(answer).run([uuid4(), uuid4()])
        make(answer).run([uuid4()])
    finally:
        logger.remove(sink)
    assert lines == ["bundle_ended", "attempt_ended"]
