"""Running one job: claim first, then the handler, then the outcome. One runner a process."""

import contextlib
import random
from collections.abc import Callable, Mapping
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
from worker.runtime import verdict
from worker.runtime.attempt import Attempt
from worker.runtime.attendant import Attendant
from worker.runtime.bookkeeping import Bookkeeper, Stopped
from worker.runtime.checkpoints import Checkpoints
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
    ) -> None:
        """Args: alone: this process runs one job at a time."""
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
        # By run, for a job can be in hand twice: claimed again while an attempt that was taken away goes on.
        self._in_hand: dict[object, UUID] = {}
        self.attendant = attendant
        self.stopping = False  # no new claims
        self.turned_away: list[UUID] = []  # jobs whose messages came when nothing was claimed any more

    def run(self, job_id: UUID) -> Outcome | None:
        """Run a job to its outcome; None where it was not to be had, or was taken away meanwhile.

        The state in the outcome is the one that the ledger recorded.
        """
        run = object()
        self._in_hand[run] = job_id
        try:
            return self._run(job_id)
        finally:
            del self._in_hand[run]

    def in_hand(self) -> set[UUID]:
        """The jobs between the wish to claim them and the record of their outcome."""
        return set(list(self._in_hand.values()))  # noqa: C414 - the list is made in one step, whoever comes

    def _run(self, job_id: UUID) -> Outcome | None:
        job = self._claim(job_id)
        if job is None:
            self._metrics.refused.inc()
            logger.info("claim_refused", job=str(job_id))
            return None
        with self._metrics.running(job.kind):
            outcome = self._attempt(job)
        recorded = self._finish(outcome)
        if recorded is None:
            logger.warning("outcome_refused", job=str(job_id), kind=job.kind, attempt=job.attempt)
            return None
        self._metrics.ended(job.kind, recorded.state)
        return recorded

    def _claim(self, job_id: UUID) -> ClaimedJob | None:
        wish = Claim(job_id=job_id, token=uuid4(), worker_id=self._incarnation.id, alone=self._alone)
        with contextlib.suppress(Stopped):
            if not self.stopping:
                return self._bookkeeper.claim(wish)
        self.turned_away.append(job_id)
        return None

    def _attempt(self, job: ClaimedJob) -> Outcome:
        kind = self._catalog.get(job.kind)
        if kind is None:
            failure = JobFailure(type="UnknownKind", message=f"this worker knows no kind {job.kind}")
            return self._ended(job, failure)
        attempt = Attempt(kind, job, self._ledger, self._storage, self._checkpoints)
        with logger.contextualize(
            job=attempt.job_id, kind=job.kind, attempt=job.attempt, request_id=job.request_id
        ):
            outcome = self._handle(kind, attempt)
            logger.info(
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
        try:
            return self._decoders[job.kind].decode(job.payload)
        except msgspec.ValidationError as error:
            raise Fatal(f"the payload does not fit this version of {job.kind}: {error}") from None

    def _ports_of(self, kind: AnyKind) -> dict[str, Any]:
        return {parameter: self._ports[port] for parameter, port in kind.ports.items()}

    def _finish(self, outcome: Outcome) -> Outcome | None:
        """The outcome as the ledger has it; None where the job was taken from this worker."""
        try:
            return self._record(outcome)
        except Exception as error:  # noqa: BLE001 - a driver refuses a text with a NUL by a ValueError
            # The outcome itself was refused: say so, in a form that cannot be refused again.
            logger.error("outcome_unrecordable", job=str(outcome.job_id), error=type(error).__name__)
            failure = JobFailure(type="OutcomeUnrecordable", message=_RECORDABLE)
            return self._record(
                Outcome(
                    job_id=outcome.job_id,
                    token=outcome.token,
                    worker=outcome.worker,
                    state=State.FAILED,
                    error=failure,
                )
            )

    def _record(self, outcome: Outcome) -> Outcome | None:
        state = self._bookkeeper.finish(outcome)
        return None if state is None else msgspec.structs.replace(outcome, state=state)

    def _ended(self, job: ClaimedJob, failure: JobFailure) -> Outcome:
        return Outcome(
            job_id=job.id,
            token=job.token,
            worker=self._incarnation.name,
            state=State.FAILED,
            error=failure,
        )


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
