"""Filling a claimed job's payload in: what it takes of the results and artifacts of other jobs."""

from collections.abc import Mapping
from uuid import UUID

import msgspec
from sqlalchemy.exc import SQLAlchemyError

from worker.contract.errors import Fatal, Retryable
from worker.contract.references import Path, Reference, pointed, references_in, replaced
from worker.ledger.engines import Ledger
from worker.ledger.followups import Made, made_by
from worker.ledger.records import ClaimedJob

LARGEST = 16 * 1024 * 1024  # bytes of JSON; more belongs into an artifact


def filled(job: ClaimedJob, ledger: Ledger) -> str | bytes:
    """The job's payload with all of its references filled; as it is, where it has none.

    Raises:
        Fatal: one of them names what is not there, or the whole is too large.
        Retryable: the ledger is away.
    """
    if not job.refers:
        return job.payload
    document = msgspec.json.decode(job.payload)
    references = references_in(document)
    made = _made(job, references, ledger)
    values = {path: _value(reference, made) for path, reference in references.items()}
    content = msgspec.json.encode(replaced(document, values))
    if len(content) > LARGEST:
        raise Fatal(f"the payload has {len(content)} bytes once it is filled in; at most {LARGEST} are taken")
    return content


def _made(job: ClaimedJob, references: Mapping[Path, Reference], ledger: Ledger) -> Mapping[UUID, Made]:
    wanted = {UUID(reference.job) for reference in references.values()}
    try:
        # Not from a replica: the others ended a moment ago.
        with ledger.write() as connection:
            return made_by(connection, wanted, job.client_id)
    except SQLAlchemyError as error:
        raise Retryable(f"the results of other jobs could not be read: {type(error).__name__}") from error


def _value(reference: Reference, made: Mapping[UUID, Made]) -> object:
    found = made.get(UUID(reference.job))
    if found is None:
        raise Fatal(f"the payload takes of the job {reference.job}, which did not succeed or was pruned")
    if reference.artifact is not None:
        return _artifact(reference.job, reference.artifact, found)
    pointer = reference.pointer or ()
    try:
        return pointed(msgspec.json.decode(found.result or "null"), pointer)
    except LookupError:
        where = "".join(f"/{token}" for token in pointer)
        raise Fatal(f"the result of the job {reference.job} has no {where}") from None


def _artifact(job: str, name: str, made: Made) -> str:
    if name not in made.artifacts:
        known = ", ".join(sorted(made.artifacts)) or "none"
        raise Fatal(f"the job {job} has no artifact {name!r}; it has {known}")
    return made.artifacts[name]
