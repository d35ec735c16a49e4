"""Which kinds of jobs a key may submit: a pure rule over patterns."""

import re
from collections.abc import Iterable

import msgspec

ALL = "*"

_PATTERN = re.compile(r"\*|[a-z][a-z0-9_]*\.(?:\*|[a-z][a-z0-9_]*)")


class Rights(msgspec.Struct, frozen=True):
    """The kinds that may be submitted: those that one of the patterns stands for."""

    patterns: tuple[str, ...] = (ALL,)  # `*`, `domain.*` or `domain.verb`; none: nothing may be submitted
    withheld: frozenset[str] = frozenset()  # kinds that may not, whatever the patterns say: for operators

    @classmethod
    def of(cls, patterns: Iterable[str]) -> "Rights":
        """Rights of patterns, sorted and each once.

        Raises:
            ValueError: one of them is no pattern, or there is none.
        """
        given = sorted(set(patterns))
        for pattern in given:
            if not _PATTERN.fullmatch(pattern):
                raise ValueError(f"{pattern!r} is no pattern of kinds: write *, email.* or email.send")
        if not given:
            raise ValueError("no pattern of kinds is given: write *, email.* or email.send")
        return cls(tuple(given))

    def allow(self, kind: str) -> bool:
        """Whether a kind, given by its name, may be submitted."""
        if kind in self.withheld:
            return False
        return not {ALL, kind, f"{kind.partition('.')[0]}.*"}.isdisjoint(self.patterns)

    def __str__(self) -> str:
        """The patterns, as a command takes them."""
        return ",".join(self.patterns)
