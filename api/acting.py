"""How far a client reaches: to its own jobs, an operator to everybody's, and the audit log tells of that."""

from collections.abc import Callable
from uuid import UUID

from sqlalchemy import Connection

from api.errors import Problem, invalid
from worker.contract import Scope
from worker.contract.states import State
from worker.enqueue import Refused
from worker.ledger import audit, clients, jobs
from worker.ledger.clients import Client
from worker.ledger.engines import Ledger

EVERYBODY = "*"

Transition = Callable[[Connection, UUID, str, UUID | None], State | None]


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
        What the transition returns.
    """
    if client.reach is not None:
        return transition(connection, job_id, f"client {client.name}", client.id)
    owner = jobs.owner(connection, job_id)
    if owner is None or owner.id == client.id:
        return transition(connection, job_id, f"client {client.name}", client.id)
    state = transition(connection, job_id, f"operator {client.name}", owner.id)
    if state is not None:
        audit.note(
            connection,
            f"client {client.name}",
            f"job.{name}",
            str(job_id),
            client=owner.name,
            key=str(client.key_id),
        )
    return state


def whose(ledger: Ledger, client: Client, name: str | None) -> UUID | None:
    """Whose jobs a client wants to see: its own where no name is given; None: everybody's.

    Raises:
        Problem: 403, they are another's, and the key does not reach so far; 400, there is no such client.
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
        raise invalid(400, Refused("client", f"there is no client {name!r}"))
    return other.id


def scope_missing(scope: Scope | None, client: Client) -> Problem:
    """The key does not have a scope."""
    return Problem(
        403,
        f"this needs a key with the scope {scope}; this one has {str(client.scopes) or 'none'}",
        code="scope-missing",
        title="The key does not have the scope for this",
        headers={"WWW-Authenticate": f'Bearer error="insufficient_scope", scope="{scope}"'},  # RFC 6750, 3.1
        scope=scope,
    )
