"""`@kind`: declare a kind of job. Pure: it makes a description and registers nothing."""

import inspect
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, ParamSpec, TypeVar, get_type_hints

import msgspec

from worker.contract.backoff import Backoff
from worker.contract.context import Context
from worker.contract.payload import Payload, Result
from worker.contract.queues import ISOLATION, Queue

NAME = re.compile(r"[a-z][a-z0-9_]*\.[a-z][a-z0-9_]*")
MAX_ATTEMPTS = 100
LONGEST_SHORT = 5.0  # seconds: a bundle of short jobs keeps its last one waiting for all before it

P = ParamSpec("P")
R = TypeVar("R", bound=Result | None)


class KindError(TypeError):
    """A kind is declared in a way that cannot work; the message says why."""


def seconds(count: float) -> float:
    """A number of seconds, for declarations that read like a sentence."""
    return float(count)


def minutes(count: float) -> float:
    """Minutes, in seconds."""
    return count * 60.0


def hours(count: float) -> float:
    """Hours, in seconds."""
    return count * 3600.0


@dataclass(frozen=True)
class Kind(Generic[P, R]):
    """A kind of job. Calling it calls its handler, which is all that a test needs."""

    name: str  # stable across deploys: it is stored with every job
    queue: Queue
    queues: tuple[Queue, ...]  # those that a job may be put into, `queue` the first
    handler: Callable[P, R]
    payload_type: type[Payload]
    result_type: type[Result] | None
    ports: dict[str, type]  # parameter name -> port that the runtime injects
    max_attempts: int  # the first run included
    deadline: float  # seconds that one attempt may run
    backoff: Backoff
    internal: bool = False  # the platform alone submits it
    operator: bool = False  # of clients, those with a key of the scope `operate` alone submit it
    short: bool = False  # so short that what surrounds it costs more: its jobs may travel in bundles
    retention: float | None = (
        None  # seconds for which what its jobs took and made is kept; None: as long as they
    )

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call the handler."""
        return self.handler(*args, **kwargs)

    @property
    def module(self) -> str:
        """The module that declares it."""
        return self.handler.__module__

    @property
    def description(self) -> str:
        """The handler's docstring."""
        return inspect.getdoc(self.handler) or ""


def kind(
    name: str,
    *,
    queue: Queue,
    queues: tuple[Queue, ...] = (),
    max_attempts: int = 3,
    deadline: float | None = None,
    backoff: Backoff | None = None,
    internal: bool = False,
    operator: bool = False,
    short: bool = False,
    retention: float | None = None,
) -> Callable[[Callable[P, R]], Kind[P, R]]:
    """Declare the decorated handler as a kind of job.

    The handler takes a payload, a `Context`, and any ports, recognised by their annotations; it returns
    a `Result` or None.

    Args:
        name: stable and dotted, equal to the path of its file: `email.send` is `email/send.py`.
        queue: where its jobs wait.
        queues: further ones that a submission may name instead.
        max_attempts: runs in all, the first one included.
        deadline: seconds that one attempt may run; the queue's where not given.
        backoff: the wait between attempts.
        internal: for the platform alone: to clients there is no such kind.
        operator: for what is not a client's own to see or do: submitting it needs a key with the scope
            `operate`.
        short: an attempt takes milliseconds, so a worker may take many of a backlog at once.
        retention: seconds after its end for which a job's payload, result and artifacts are kept, where that
            is less than the operator's settings say.

    Raises:
        KindError: the declaration contradicts itself.
    """

    def declare(handler: Callable[P, R]) -> Kind[P, R]:
        _require(NAME.fullmatch(name), name, "is no name of a kind: use lower case, <domain>.<verb>")
        _require(
            1 <= max_attempts <= MAX_ATTEMPTS,
            name,
            f"has max_attempts={max_attempts}: it counts the first run, so 1 to {MAX_ATTEMPTS}",
        )
        allowed = (queue, *queues)
        _require(len(set(allowed)) == len(allowed), name, "names a queue twice")
        _require(
            ISOLATION not in allowed, name, f"names {ISOLATION.name}, which the platform keeps for itself"
        )
        limit = queue.deadline if deadline is None else deadline
        _require(limit > 0, name, f"has deadline={limit}: it needs a time above zero")
        _require(
            limit <= LONGEST_SHORT or not short,
            name,
            f"is short, and has deadline={limit:g}: give it one of {LONGEST_SHORT:g} s at most, "
            "or do not call it short",
        )
        _require(
            retention is None or retention > 0,
            name,
            f"has retention={retention}: it needs a time above zero, or none at all",
        )
        payload_type, ports, result_type = _signature(name, handler)
        return Kind(
            name=name,
            queue=queue,
            queues=allowed,
            handler=handler,
            payload_type=payload_type,
            result_type=result_type,
            ports=ports,
            max_attempts=max_attempts,
            deadline=limit,
            backoff=backoff or Backoff(),
            internal=internal,
            operator=operator,
            short=short,
            retention=retention,
        )

    return declare


def _signature(
    name: str, handler: Callable[..., Any]
) -> tuple[type[Payload], dict[str, type], type[Result] | None]:
    hints = get_type_hints(handler)
    returned = hints.pop("return", inspect.Parameter.empty)
    parameters = list(inspect.signature(handler).parameters)
    missing = [parameter for parameter in parameters if parameter not in hints]
    _require(not missing, name, f"has parameters without a type: {', '.join(missing)}")
    _require(
        len(parameters) >= 2  # noqa: PLR2004 - the payload and the context
        and _is_subclass(hints[parameters[0]], Payload)
        and hints[parameters[1]] is Context,
        name,
        "must take (payload: <a Payload>, ctx: Context, <ports>)",
    )
    result_type = None if returned is type(None) else returned
    _require(
        result_type is None or _is_subclass(result_type, Result),
        name,
        "must say what it returns: a Result, or None",
    )
    payload_type: type[Payload] = hints[parameters[0]]
    _require_schema(name, payload_type)
    ports = {parameter: hints[parameter] for parameter in parameters[2:]}
    for parameter, port in ports.items():
        _require(inspect.isclass(port), name, f"has a port {parameter} that is no class: {port}")
    return payload_type, ports, result_type


def _require_schema(name: str, payload_type: type[Payload]) -> None:
    try:
        msgspec.json.schema(payload_type)
        msgspec.json.Decoder(payload_type)
    except (TypeError, NameError) as error:
        raise KindError(f"{name}: its payload {payload_type.__name__} is unusable: {error}") from error


def _is_subclass(candidate: object, parent: type) -> bool:
    return inspect.isclass(candidate) and issubclass(candidate, parent)


def _require(condition: object, name: str, problem: str) -> None:
    if not condition:
        raise KindError(f"{name}: {problem}")
