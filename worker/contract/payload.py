"""Payloads and results: frozen, validated structures that a kind declares."""

import functools
from collections.abc import Mapping
from typing import Any, ClassVar

import msgspec

Scalar = str | int | float | bool | None


class Payload(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """The input of a kind: its fields, constraints and docs. Unknown fields are refused.

    A field at its default is not written down, so that a worker of the version before the field can run a job
    that does without it. `EXAMPLE` is a whole payload for the API's description; unset, it is made of the
    examples that the required fields give. `NEEDS` says what must be there for the example to succeed. What
    does not fit a pattern is told in words where these stand beside it: `Meta(pattern=..., extra={"misfit":
    "is no name of a table"})`.
    """

    EXAMPLE: ClassVar[Mapping[str, Any] | None] = None
    NEEDS: ClassVar[str] = ""

    def describe(self) -> str:
        """A short description without secrets, for Flower and the logs.

        The default names the fields that differ from their defaults and shows no value, so that a kind
        that forgets to say what is secret gives nothing away.
        """
        return ", ".join(
            field.name for field in _fields(type(self)) if getattr(self, field.name) != _default(field)
        )


@functools.cache  # msgspec evaluates the annotations each time
def _fields(payload_type: type[Payload]) -> tuple[msgspec.structs.FieldInfo, ...]:
    return msgspec.structs.fields(payload_type)


def _default(field: msgspec.structs.FieldInfo) -> object:
    factory = field.default_factory
    return field.default if factory is msgspec.NODEFAULT else factory()


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """The output of a kind, recorded in the ledger and readable by the client."""
