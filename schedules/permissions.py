"""Whether a client may still have its schedules fired: keys are revoked and bound while nobody looks."""

from collections.abc import Iterable
from uuid import UUID

from msgspec.structs import replace
from sqlalchemy import Connection

from worker.contract.rights import Rights
from worker.contract.scopes import Scope, Scopes
from worker.enqueue import Refused
from worker.ledger import clients
from worker.ledger.schedules import Stored


class Permissions:
    """What the keys of some clients allow at this moment.

    A schedule fires while any good key of its client might submit the job itself, whichever key it was saved
    with: so a key can be rotated, and a client without keys fires nothing. Files need no key.

    Args:
        connection: of an open transaction.
        stored: the schedules that are asked about.
        operators: the kinds that need the scope `operate`.
    """

    def __init__(self, connection: Connection, stored: Iterable[Stored], operators: frozenset[str]) -> None:
        owners = {schedule.client_id for schedule in stored if not schedule.from_file}
        self._keys = clients.good_keys(connection, owners) if owners else {}
        self._operators = operators

    def require(self, stored: Stored, kind: str) -> None:
        """Let a job of a schedule pass.

        Raises:
            Refused: its client may not have it.
        """
        if not stored.from_file and not any(self._allows(*key, kind) for key in self._of(stored.client_id)):
            raise Refused("kind", f"its client has no good key that may submit {kind}")

    def _of(self, client_id: UUID) -> list[tuple[Rights, Scopes]]:
        return self._keys.get(client_id, [])

    def _allows(self, rights: Rights, scopes: Scopes, kind: str) -> bool:
        withheld = frozenset() if scopes.allow(Scope.OPERATE) else self._operators
        return scopes.allow(Scope.SUBMIT) and replace(rights, withheld=withheld).allow(kind)
