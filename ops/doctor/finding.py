"""One thing that was looked at, and how a look that fails becomes a finding itself."""

from collections.abc import Callable, Iterator

import msgspec


class Finding(msgspec.Struct, frozen=True):
    """One thing that was looked at."""

    subject: str
    good: bool
    text: str  # what was found and, where it is bad, what to do


def guarded(subject: str, examine: Callable[[], Iterator[Finding]], advice: str) -> Iterator[Finding]:
    """What a look finds; where it breaks off, why, and what to do."""
    try:
        yield from examine()
    except Exception as error:  # noqa: BLE001 - a diagnosis reports whatever is wrong
        yield Finding(subject, good=False, text=f"does not answer: {_reason(error)}; {advice}")


def _reason(error: BaseException) -> str:
    """The first line of what a server or the network said, behind the words that were made of it."""
    while error.__cause__ is not None:
        error = error.__cause__
    said = str(getattr(error, "orig", None) or error).strip()
    return said.splitlines()[0] if said else type(error).__name__
