"""How far a client reaches: to its own jobs, an operator to everybody's, and the audit log tells of that."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Connection

from api import errors
from api.errors import Problem, invalid
from worker.contract import Scope
from worker.contract.states import State
from worker.enqueue import Refused
from worker.ledger import audit, clients, jobs
from worker.ledger.clients import Client
from worker.ledger.engines import Ledger

EVERYBODY = "*"

Transition = Callable[[Connection, Sequence[UUID], str, UUID | None], Mapping[UUID, State]]


def act(
    connection: Connection, transition: Transition, name: str, job_id: UUID, client: Client
) -> State | None:
    """Let a client act on a job, in whose history it is recorded who did.

    Args:
        connection: of an open transaction.
        transition: of the ledger.
        name: of the act, for the audit log.
        job_id: which job.
        client: with the reach of its key.

    Returns:
        The job's state after it; None where nothing changed.
    """
    owner_id = owner_of(connection, job_id, client)
    after = act_on_all(
        connection, transition, name, [job_id], subject=str(job_id), client=client, owner_id=owner_id
    )
    return after.get(job_id)


def owner_of(connection: Connection, job_id: UUID, client: Client) -> UUID:
    """Whose a job is that a client means: its own, where it reaches no further or there is no such job."""
    return client.reach or jobs.owner_of(connection, job_id) or client.id


def act_on_all(
    connection: Connection,
    transition: Transition,
    name: str,
    ids: Sequence[UUID],
    *,
    subject: str | None = None,
    client: Client,
    owner_id: UUID,
    **details: Any,
) -> Mapping[UUID, State]:
    """Let a client act on jobs of one owner, and tell the audit log where that is another client.

    Args:
        connection: of an open transaction.
        transition: of the ledger.
        name: of the act, for the audit log.
        ids: which jobs.
        subject: what was acted on, for the audit log; None: the owner's jobs.
        client: who acts, with the reach of its key.
        owner_id: whose jobs they are.
        details: for the audit log.

    Returns:
        The states after it, of those that changed.
    """
    if owner_id == client.id:
        return transition(connection, ids, f"client {client.name}", client.id)
    changed = transition(connection, ids, f"operator {client.name}", owner_id)
    if changed:
        owner = clients.name_of(connection, owner_id)
        details |= {"client": owner, "key": str(client.key_id), "jobs": len(changed)}
        audit.note(connection, f"client {client.name}", name, subject or owner or str(owner_id), **details)
    return changed


def whose(ledger: Ledger, client: Client, name: str | None, status: int = 400) -> UUID | None:
    """Whose jobs a client means: its own where no name is given; None: everybody's.

    Raises:
        Problem: 403, they are another's, and the key does not reach so far; of the given status, there is no
            such client.
    """
    if name in {None, client.name}:
        return client.id
    if client.reach is not None:
        raise scope_missing(Scope.OPERATE, client)
    if name == EVERYBODY:
        return None
    with ledger.read() as connection:
        other = clients.find_client(connection, name or "")
    if other is None:
        raise invalid(status, Refused("client", f"there is no client {name!r}"))
    return other.id


def scope_missing(scope: Scope | None, client: Client) -> Problem:
    """The key does not have a scope."""
    held = str(client.scopes) or "none"
    return errors.scope_missing(scope, f"this needs a key with the scope {scope}; this one has {held}")
