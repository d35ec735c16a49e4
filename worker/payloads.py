"""Checking payloads as they are submitted: whole ones, and ones that name what other jobs will have made.

Where a payload holds references (`worker.contract.references`), examples stand in for what they will be:
the kind's own, and a few plain values. While one of them fits its field, everything else is checked as ever;
a field that none fits stays open, and with it what the kind would have checked after it. The worker that
fills the references in checks all of it again.
"""

from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from uuid import UUID

import msgspec

from worker.catalog import AnyKind, Catalog
from worker.contract.extent import DEEPEST, is_shallow, values_in
from worker.contract.forms import forms, meet
from worker.contract.misfits import UNKNOWN, misfit, shortened, steps_of
from worker.contract.payload import Payload
from worker.contract.references import (
    MARK,
    BadReference,
    Path,
    Reference,
    Taken,
    references_in,
    replaced,
    written,
)
from worker.contract.shapes import examples, reach

_REFERRING = "with what the jobs before it have made"  # the description of a payload that is not whole yet
_AN_ARTIFACT = "00000000-0000-7000-8000-000000000000"
_PLAIN: tuple[object, ...] = ("x", 1, True, [], {})
_TRIES = 16
_MOST_VALUES = 10_000  # of a payload that holds references, each of which is looked at


class Refused(ValueError):  # noqa: N818 - reads as what happened
    """A submission cannot be accepted.

    Args:
        field: the offending field as a path, `payload.url`.
        reason: what is wrong with it.
    """

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"{field}: {reason}")
        self.field = field
        self.reason = reason


def refusal(error: msgspec.ValidationError, type_: object, root: str = "") -> Refused:
    """What msgspec found wrong with a value of a type; `root` is where the value stands."""
    found = misfit(error, type_)
    return Refused((root + found.place).lstrip("."), found.reason)


class Checked(msgspec.Struct, frozen=True):
    """A payload that can be accepted."""

    content: bytes  # JSON
    description: str  # without secrets
    refers: bool  # it holds references
    takes: tuple[Taken, ...] = ()  # those of them that are to results


class Payloads:
    """Checks payloads against the kinds of the catalog."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._decoders = {name: msgspec.json.Decoder(kind.payload_type) for name, kind in catalog.items()}

    def check(self, kind: AnyKind, raw: msgspec.Raw, after: Mapping[str, UUID]) -> Checked:
        """Check a payload.

        Args:
            kind: whose.
            raw: its JSON.
            after: the jobs that its own comes after, by what the client calls them.

        Raises:
            Refused: it does not fit.
        """
        content = bytes(raw)
        if not is_shallow(content):
            raise Refused("payload", f"is nested too deeply: it has more than {DEEPEST} levels")
        try:
            if f'"{MARK}"'.encode() in content:
                _require_few_values(content)
                document = msgspec.json.decode(raw)
                if references := references_in(document):
                    return self._checked(kind, document, references, after)
            payload: Payload = self._decoders[kind.name].decode(raw)
            return Checked(msgspec.json.encode(payload), payload.describe(), refers=False)
        except RecursionError:
            raise Refused("payload", "is nested too deeply") from None
        except BadReference as error:
            raise Refused(shortened(written(error.path)), shortened(error.reason)) from None
        except msgspec.ValidationError as error:
            raise refusal(error, kind.payload_type, "payload") from None
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            # Inside a raw payload only the decoder of its kind looks at the text of strings.
            raise Refused("payload", f"holds text that is no Unicode: {error}") from None

    def check_results(self, kind: str, taken: Iterable[Taken], kinds: Mapping[UUID, str]) -> None:
        """Check that the results which an accepted payload takes can exist, and stand where they are to.

        Args:
            kind: whose payload it is.
            taken: of the payload.
            kinds: of the other jobs; what one makes that is not among them is not looked at.

        Raises:
            Refused: the kind of another job has no such result, or one that never fits.
        """
        for each in taken:
            other = self._catalog.get(kinds.get(each.job, ""))
            if other is not None:
                _check_result(self._catalog[kind], other, each)

    def _checked(
        self,
        kind: AnyKind,
        document: object,
        references: Mapping[Path, Reference],
        after: Mapping[str, UUID],
    ) -> Checked:
        named: dict[Path, object] = {}
        for path, reference in references.items():
            if reference.job not in after:
                raise BadReference(path, f"{reference.job!r} is none of the jobs in `after`")
            named[(*path, MARK)] = str(after[reference.job])
        self._try(kind, document, references)
        takes = tuple(
            Taken(path=path, job=after[reference.job], pointer=reference.pointer)
            for path, reference in references.items()
            if reference.pointer is not None
        )
        content = msgspec.json.encode(replaced(document, named))
        return Checked(content, _REFERRING, refers=True, takes=takes)

    def _try(self, kind: AnyKind, document: object, references: Mapping[Path, Reference]) -> None:
        others = {path: _stand_ins(kind, path, reference) for path, reference in references.items()}
        chosen = {path: next(choices) for path, choices in others.items()}
        for _ in range(_TRIES):
            refused = self._refused(kind, replaced(document, chosen))
            if refused is None:
                return
            path = next((path for path in chosen if _concerns(refused.field, path)), None)
            if path is None or references[path].artifact is not None or refused.reason.startswith(UNKNOWN):
                raise refused
            try:
                chosen[path] = next(others[path])
            except StopIteration:
                return

    def _refused(self, kind: AnyKind, document: object) -> Refused | None:
        try:
            self._decoders[kind.name].decode(msgspec.json.encode(document))
        except msgspec.ValidationError as error:
            return refusal(error, kind.payload_type, "payload")
        return None


def _stand_ins(kind: AnyKind, path: Path, reference: Reference) -> Iterator[object]:
    if reference.artifact is not None:
        return iter([_AN_ARTIFACT])
    return chain(_examples(reach(kind.payload_type, path)), _PLAIN)


def _examples(types: Iterable[msgspec.inspect.Type]) -> Iterator[object]:
    return (example for type_ in types for example in examples(type_))


def _concerns(field: str, path: Path) -> bool:
    """Whether a complaint about a field is one about a place or about what is inside of it."""
    steps = steps_of(field)
    pairs = zip(steps, path, strict=False)
    return len(steps) >= len(path) and all(step in ("...", str(wanted)) for step, wanted in pairs)


def _check_result(kind: AnyKind, other: AnyKind, taken: Taken) -> None:
    problem = _problem_of_result(kind, other, taken)
    if problem is not None:
        raise Refused(shortened(written(taken.path)), f"result: {problem}")


def _problem_of_result(kind: AnyKind, other: AnyKind, taken: Taken) -> str | None:
    if other.result_type is None:
        return f"{other.name} has no result"
    found = reach(other.result_type, taken.pointer)
    if not found:
        return f"the result of {other.name} has no {_written_pointer(taken)}"
    expected, made = forms(reach(kind.payload_type, taken.path)), forms(found)
    if meet(expected, made):
        return None
    what = f"{_written_pointer(taken) or 'the result'} of {other.name} is `{_either(made)}`"
    return f"Expected `{_either(expected)}`, and {what}"


def _written_pointer(taken: Taken) -> str:
    return shortened("".join(f"/{token}" for token in taken.pointer))


def _either(names: Iterable[str] | None) -> str:
    return " | ".join(sorted(names or ()))


def _require_few_values(content: bytes) -> None:
    if (count := values_in(content)) > _MOST_VALUES:
        raise Refused(
            "payload",
            f"holds references among {count} values, of which {_MOST_VALUES} are looked through at most;"
            " put what is many into an artifact",
        )
