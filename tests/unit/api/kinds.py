"""Kinds for tests of the API: they are never run."""

from typing import Annotated

from msgspec import Meta, field

from worker.catalog import Catalog
from worker.contract import EMAIL, WEB, Context, Payload, Result, kind


class Greeting(Payload, frozen=True, kw_only=True):
    """Whom to greet."""

    name: Annotated[str, Meta(min_length=1, max_length=20)]
    times: Annotated[int, Meta(ge=1, le=9)] = 1
    nested: dict[str, list[int]] = field(default_factory=dict)

    def describe(self) -> str:
        """Show the name, as a kind of somebody else might."""
        return f"greet {self.name}"


class Greeted(Result, frozen=True, kw_only=True):
    """What was said."""

    text: str


class Nothing(Payload, frozen=True, kw_only=True):
    """Needs no payload."""


@kind("test.greet", queue=EMAIL, max_attempts=3, deadline=7)
def greet(payload: Greeting, _ctx: Context) -> Greeted:
    """Greet somebody."""
    return Greeted(text=f"hello {payload.name}")


@kind("test.idle", queue=WEB, queues=(EMAIL,))
def idle(_payload: Nothing, _ctx: Context) -> None:
    """Do nothing."""


CATALOG: Catalog = {found.name: found for found in (greet, idle)}
