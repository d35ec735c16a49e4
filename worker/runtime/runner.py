"""Running the jobs of a message: claims first, then the handlers, then the outcomes. One runner a process."""

import random
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from uuid import UUID, uuid4

import msgspec
from billiard.common import terminate_handler_fired  # type: ignore[attr-defined]  # newer than its stubs
from greenlet import GreenletExit
from loguru import logger

from worker.catalog import AnyKind, Catalog
from worker.contract.errors import Fatal
from worker.contract.states import State
from worker.ledger.engines import Ledger
from worker.ledger.records import Claim, ClaimedJob, JobFailure, Outcome
from worker.payloads import refusal
from worker.runtime import verdict
from worker.runtime.attempt import Attempt
from worker.runtime.attendant import Attendant
from worker.runtime.bookkeeping import Batch, Bookkeeper, Stopped
from worker.runtime.bundle import HELD, Bundle
from worker.runtime.checkpoints import Checkpoints
from worker.runtime.filling import filled
from worker.runtime.metrics import Metrics
from worker.storage import Storage

_RECORDABLE = "the ledger could not record the outcome as it was"


class Incarnation(msgspec.Struct, frozen=True):
    """Who runs: one life of one worker."""

    id: UUID
    name: str


class Runner:
    """Runs jobs in this process."""

    def __init__(
        self,
        *,
        incarnation: Incarnation,
        alone: bool,
        catalog: Catalog,
        ports: Mapping[type, Any],
        ledger: Ledger,
        storage: Storage,
        checkpoints: Checkpoints,
        bookkeeper: Bookkeeper,
        attendant: Attendant,
        metrics: Metrics,
        told_to_stop: Callable[[], bool],
    ) -> None:
        """Make a runner.

        Args:
            incarnation: of the worker.
            alone: this process works on one message at a time.
            catalog: of the kinds that it knows.
            ports: what serves each.
            ledger: of this process.
            storage: of artifacts.
            checkpoints: takes them to the ledger.
            bookkeeper: takes claims and outcomes there.
            attendant: watches what runs.
            metrics: counts it.
            told_to_stop: whether the worker was, so that no bundle goes on.
        """
        self._incarnation = incarnation
        self._alone = alone
        self._catalog = catalog
        self._ports = ports
        self._ledger = ledger
        self._storage = storage
        self._checkpoints = checkpoints
        self._bookkeeper = bookkeeper
        self._metrics = metrics
        self._rng = random.Random()  # noqa: S311 - jitter, no secret
        self._decoders = {name: msgspec.json.Decoder(kind.payload_type) for name, kind in catalog.items()}
        self._told_to_stop = told_to_stop
        # A job can be in hand twice: claimed again while an attempt that was taken away goes on.
        self._bundles: set[Bundle] = set()
        self.attendant = attendant
        self.stopping = False  # no new claims
        self.turned_away: list[UUID] = []  # jobs whose messages came when nothing was claimed any more

    def run(self, job_ids: Sequence[UUID]) -> dict[UUID, Outcome]:
        """Run the jobs of a message, one after the other, each to its outcome.

        The state in an outcome is the one that the ledger recorded. Left out is what was not to be had, was
        taken away meanwhile, or went back unbegun.
        """
        bundle = Bundle([self._wish(job_id, alone=len(job_ids) == 1) for job_id in job_ids])
        self._bundles.add(bundle)
        try:
            if self._take(bundle):
                self._work_on(bundle)
            return bundle.recorded
        finally:
            self._bundles.discard(bundle)

    def in_hand(self) -> set[UUID]:
        """The jobs between the wish to claim them and the record of their outcome."""
        bundles = list(self._bundles)  # made in one step, whoever comes
        return {job_id for bundle in bundles for job_id in bundle.in_hand()}

    def _wish(self, job_id: UUID, *, alone: bool) -> Claim:
        return Claim(
            job_id=job_id, token=uuid4(), worker_id=self._incarnation.id, alone=alone and self._alone
        )

    def _take(self, bundle: Bundle) -> bool:
        """Claim the jobs; False where nothing is claimed any more."""
        wanted = bundle.in_hand()
        if self.stopping or not self._claim(bundle):
            self.turned_away.extend(wanted)
            return False
        for job_id in wanted - bundle.in_hand():
            self._metrics.refused.inc()
            logger.info("claim_refused", job=str(job_id))
        return True

    def _claim(self, bundle: Bundle) -> bool:
        """Claim what has not begun, or look whether it is still ours; False where the worker stops."""
        try:
            answers = self._bookkeeper.write(Batch(claims=bundle.wishes()))
        except Stopped:
            return False
        bundle.claimed(answers.claimed.values())
        return True

    def _work_on(self, bundle: Bundle) -> None:
        began: dict[UUID, ClaimedJob] = {}
        while job := bundle.begin():
            began[job.id] = job
            bundle.end(self._attempt(job, bundle))
            self._look_up(bundle)
        self._tell(bundle, bundle.unsaid())
        if not bundle.alone:
            states = Counter(outcome.state.value for outcome in bundle.recorded.values())
            logger.info("bundle_ended", began=len(began), **states)
        ended: Counter[tuple[str, State]] = Counter()
        for job_id, job in began.items():
            if job_id in bundle.recorded:
                ended[job.kind, bundle.recorded[job_id].state] += 1
            else:
                # Taken away. Or the answer to a first try was lost, and who was to be retried claimed again.
                logger.warning("claim_gone", job=str(job_id), kind=job.kind, attempt=job.attempt)
        for (kind, state), count in ended.items():
            self._metrics.ended(kind, state, count)

    def _look_up(self, bundle: Bundle) -> None:
        """Between two jobs: whether to go on, what the ledger must know by now, and whose the others are."""
        if bundle.took_long or self._told_to_stop():
            bundle.break_off()
        self._tell(bundle, bundle.unsaid(least=HELD))
        if bundle.stale and not self._claim(bundle):
            bundle.break_off()

    def _attempt(self, job: ClaimedJob, bundle: Bundle) -> Outcome:
        if job.cancel_requested:
            return verdict.of_cancel(job, self._incarnation.name)
        kind = self._catalog.get(job.kind)
        if kind is None:
            failure = JobFailure(type="UnknownKind", message=f"this worker knows no kind {job.kind}")
            return self._ended(job, failure)
        attempt = Attempt(kind, job, self._ledger, self._storage, self._checkpoints, bundle=bundle)
        with (
            self._metrics.running(job),
            logger.contextualize(
                job=attempt.job_id, kind=job.kind, attempt=job.attempt, request_id=job.request_id
            ),
        ):
            outcome = self._handle(kind, attempt)
            # Two thirds of what a short job in a bundle costs would be its line; the ledger has its history.
            quiet = outcome.state is State.SUCCEEDED and not bundle.alone
            logger.log(
                "DEBUG" if quiet else "INFO",
                "attempt_ended",
                outcome=outcome.state.value,
                error=outcome.error.type if outcome.error else None,
                seconds=round(kind.deadline - attempt.remaining(), 3),
            )
        return msgspec.structs.replace(outcome, artifacts=list(attempt.artifacts.values()))

    def _handle(self, kind: AnyKind, attempt: Attempt) -> Outcome:
        name = self._incarnation.name
        try:
            payload = self._payload(attempt.job)
            with self.attendant.watch(attempt):
                result = kind.handler(payload, attempt, **self._ports_of(kind))
            if attempt.overrun:
                return verdict.of_overrun(kind, attempt.job, name, self._rng)
            return verdict.of_result(kind, attempt.job, name, result)
        except MemoryError:
            # Uncaught it would end the main process of a prefork worker.
            error = MemoryError("the handler ran out of memory")
            return verdict.of_error(kind, attempt.job, name, error, self._rng)
        except BaseException as error:
            # asyncio's CancelledError is none of Exception's, and a handler may well raise it.
            if isinstance(error, KeyboardInterrupt | GreenletExit) or (
                isinstance(error, SystemExit) and terminate_handler_fired()
            ):
                raise  # not the handler's: somebody ends this process
            if attempt.overrun:
                return verdict.of_overrun(kind, attempt.job, name, self._rng)
            return verdict.of_error(kind, attempt.job, name, error, self._rng)

    def _payload(self, job: ClaimedJob) -> Any:
        decoder = self._decoders[job.kind]
        try:
            return decoder.decode(filled(job, self._ledger))
        except msgspec.ValidationError as error:
            found = refusal(error, decoder.type, "payload")
            raise Fatal(f"the payload does not fit this version of {job.kind}: {found}") from None

    def _ports_of(self, kind: AnyKind) -> dict[str, Any]:
        return {parameter: self._ports[port] for parameter, port in kind.ports.items()}

    def _tell(self, bundle: Bundle, word: Batch) -> None:
        """Tell the ledger what ended and what goes back."""
        if not word:
            return
        try:
            bundle.said(word, self._bookkeeper.write(word))
        except Stopped:
            logger.debug("hand_back_left", jobs=len(word.returned))  # to the end of the lease
        except Exception as error:
            parts = word.apart()
            if len(parts) == 1 and not word.outcomes:
                raise
            for part in parts:  # one of them cannot be written: find it, and let the others pass
                self._tell(bundle, _recordable(part, error) if len(parts) == 1 else part)

    def _ended(self, job: ClaimedJob, failure: JobFailure) -> Outcome:
        return Outcome(
            job_id=job.id,
            token=job.token,
            worker=self._incarnation.name,
            state=State.FAILED,
            error=failure,
        )


def _recordable(word: Batch, error: Exception) -> Batch:
    """The outcome was refused: the same word in a form that cannot be refused again."""
    # A driver refuses a text with a NUL by a ValueError.
    (outcome,) = word.outcomes
    failure = JobFailure(type="OutcomeUnrecordable", message=_RECORDABLE)
    if outcome.error == failure:
        raise error
    logger.error("outcome_unrecordable", job=str(outcome.job_id), error=type(error).__name__)
    plain = Outcome(
        job_id=outcome.job_id, token=outcome.token, worker=outcome.worker, state=State.FAILED, error=failure
    )
    return Batch(outcomes=[plain])


class PortError(TypeError):
    """A kind asks for a port that no adapter serves."""


def check_ports(catalog: Catalog, adapters: Mapping[type, Callable[..., Any]]) -> None:
    """Refuse to start where a kind could not be served.

    Raises:
        PortError: names the kind, its parameter and the port.
    """
    for kind in catalog.values():
        for parameter, port in kind.ports.items():
            if port not in adapters:
                raise PortError(
                    f"{kind.name}: no adapter serves its port {parameter}: {port.__name__}; "
                    f"add one in worker/celery.py, or take the parameter away"
                )
