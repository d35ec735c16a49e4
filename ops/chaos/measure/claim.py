"""A claim, and whether it was met."""

from collections.abc import Sequence

import msgspec
from rich.table import Table


class Claim(msgspec.Struct, frozen=True, kw_only=True):
    """Something that is promised, and what was found."""

    what: str
    promised: str
    found: str
    met: bool


def at_most(what: str, limit: float, found: Sequence[float]) -> Claim:
    """A claim that nothing takes longer than `limit` seconds; where nothing was found it is not met."""
    worst = f"{max(found):.1f} s, the worst of {len(found)}" if found else "nothing to measure"
    return Claim(
        what=what,
        promised=f"at most {limit:g} s",
        found=worst,
        met=bool(found) and max(found) <= limit,
    )


def table(claims: Sequence[Claim]) -> Table:
    """What a person reads."""
    shown = Table("claim", "promised", "found", "", title="Measured")
    for claim in claims:
        mark = "[green]met[/]" if claim.met else "[red]NOT MET[/]"
        shown.add_row(claim.what, claim.promised, claim.found, mark)
    return shown
