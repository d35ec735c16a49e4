"""What a key may do: a pure rule over scopes, beside the kinds that its rights name."""

from collections.abc import Iterable
from enum import StrEnum

import msgspec


class Scope(StrEnum):
    """One thing that a key may do."""

    READ = "read"  # see the jobs and files of its client, and the kinds
    SUBMIT = "submit"  # submit jobs and files for its client, cancel those jobs and run them again
    OPERATE = "operate"  # see every client's jobs, cancel them and run them again; steer the queues
    ADMIN = "admin"  # read the audit log


_INCLUDED = {
    Scope.OPERATE: frozenset({Scope.READ, Scope.SUBMIT, Scope.OPERATE}),
    Scope.ADMIN: frozenset(Scope),
}


class Scopes(msgspec.Struct, frozen=True):
    """The scopes of a key. `operate` includes `read` and `submit`, and `admin` includes everything."""

    given: frozenset[Scope] = frozenset({Scope.READ, Scope.SUBMIT})

    @classmethod
    def of(cls, names: Iterable[str]) -> "Scopes":
        """Scopes by their names.

        Raises:
            ValueError: one of them is no scope, or there is none.
        """
        given = set(names)
        for name in sorted(given - set(Scope)):
            raise ValueError(f"{name!r} is no scope: {', '.join(Scope)} are")
        if not given:
            raise ValueError(f"no scope is given: {', '.join(Scope)} are those there are")
        return cls(frozenset(map(Scope, given)))

    def allow(self, scope: Scope) -> bool:
        """Whether a key with these scopes may do what needs that one."""
        return any(scope is held or scope in _INCLUDED.get(held, ()) for held in self.given)

    def __str__(self) -> str:
        """The scopes, as a command takes them."""
        return ",".join(scope for scope in Scope if scope in self.given)
