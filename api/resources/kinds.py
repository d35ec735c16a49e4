"""`/v1/kinds`: the catalog, with the schemas of payloads and results."""

from typing import Annotated, Any

import msgspec
from msgspec import Meta

from api.answers import answer, revalidate
from api.applications import Request, Response
from api.schemas import portable
from worker.catalog import AnyKind, Catalog
from worker.ledger.clients import Client

Schema = Annotated[dict[str, Any], Meta(description="JSON Schema 2020-12.")]


class KindDescription(msgspec.Struct, frozen=True, kw_only=True):
    """A kind of job."""

    name: Annotated[str, Meta(description="Stable.", examples=["web.fetch"])]
    description: Annotated[str, Meta(description="What it does.")]
    queue: Annotated[
        str, Meta(description="Where its jobs wait, unless a job says otherwise.", examples=["web"])
    ]
    queues: Annotated[list[str], Meta(description="The queues that a job may name.")]
    max_attempts: Annotated[int, Meta(description="Runs in all, unless a job says otherwise.")]
    deadline: Annotated[float, Meta(description="Seconds that one attempt may run.")]
    short: Annotated[
        bool, Meta(description="Its jobs take milliseconds: from a backlog they run in bundles.")
    ]
    operator: Annotated[
        bool, Meta(description="Whether it takes a key with the scope `operate` to submit it.")
    ]
    payload: Schema
    result: Annotated[Schema | None, Meta(description="null: it has none.")]
    allowed: Annotated[bool, Meta(description="Whether the key of this request may submit it.")] = True

    @classmethod
    def of_kind(cls, kind: AnyKind) -> "KindDescription":
        """What a client needs to know of a kind."""
        return cls(
            name=kind.name,
            description=kind.description,
            queue=kind.queue.name,
            queues=[queue.name for queue in kind.queues],
            max_attempts=kind.max_attempts,
            deadline=kind.deadline,
            short=kind.short,
            operator=kind.operator,
            payload=portable(msgspec.json.schema(kind.payload_type)),
            result=None if kind.result_type is None else portable(msgspec.json.schema(kind.result_type)),
        )


class KindList(msgspec.Struct, frozen=True):
    """All kinds, by name."""

    kinds: Annotated[list[KindDescription], Meta(description="Each with its schemas.")]


class Kinds:
    """The kinds that there are.

    Args:
        catalog: does not change while a process runs.
    """

    def __init__(self, catalog: Catalog) -> None:
        self._kinds = [KindDescription.of_kind(kind) for kind in catalog.values()]

    def on_get(self, req: Request, resp: Response) -> None:
        """List them all, each with whether this key may submit it."""
        client: Client = req.context.client
        marked = [
            msgspec.structs.replace(kind, allowed=client.rights.allow(kind.name)) for kind in self._kinds
        ]
        answer(resp, 200, KindList(marked))
        revalidate(req, resp)

    on_head = on_get
