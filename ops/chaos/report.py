"""What a run showed, as numbers, as text, and as tables."""

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from http import HTTPStatus

import msgspec
from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from ops.chaos.checker import Verdict, Violation
from ops.chaos.faults import FAULTS, Lane
from ops.chaos.history import AnyEvent, Fault, Submitted

CALM = "calm"
SEVERAL = "several at once"

_API = frozenset({"api", "supervisor"})
_AFTERMATH = 6.0  # seconds after a fault that count as its
_SHOWN = 10  # violations of a sort that the text names
_WIDE = 120  # characters


class Setting(msgspec.Struct, frozen=True, kw_only=True):
    """How a run went about."""

    seed: int
    broker: str
    seconds: float
    rate: float
    quiet_seconds: float  # from the last submission to the last end
    errors: list[str]  # faults that could not be carried out
    missed: dict[str, int] = {}  # faults that found nothing to strike
    least_jobs: int = 0
    least_faults: int = 0


class Answers(msgspec.Struct, frozen=True, kw_only=True):
    """How the API answered tries to submit, in calm or while a fault lasted."""

    tries: int
    accepted: float  # share of 202s
    p50: float | None  # seconds to a 202
    p99: float | None
    otherwise: dict[str, int]  # other statuses, and reasons for none


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """All of it."""

    valid: bool  # the promise held, and every fault was carried out
    lacking: list[str]  # what it would have had to have more of
    setting: Setting
    verdict: Verdict
    answers: dict[str, Answers]  # by fault
    recovery: dict[str, float]  # p50, p99 and max, seconds

    @classmethod
    def of(cls, verdict: Verdict, history: Sequence[AnyEvent], setting: Setting) -> "Report":
        """Sum a history up."""
        seconds = verdict.recovery_seconds
        recovery = {
            "p50": quantile(seconds, 0.5),
            "p99": quantile(seconds, 0.99),
            "max": quantile(seconds, 1),
        }
        return cls(
            valid=verdict.valid and not setting.errors,
            lacking=list(_lacking(verdict, setting)),
            setting=setting,
            verdict=verdict,
            answers=answers_by_fault(history),
            recovery={name: value for name, value in recovery.items() if value is not None},
        )


def _lacking(verdict: Verdict, setting: Setting) -> Iterator[str]:
    for what, found, least in (
        ("accepted jobs", verdict.accepted, setting.least_jobs),
        ("faults", sum(verdict.faults.values()), setting.least_faults),
    ):
        if found < least:
            yield f"{found} {what}, at least {least} were asked for"


def answers_by_fault(history: Iterable[AnyEvent]) -> dict[str, Answers]:
    """How submissions fared while each kind of fault lasted, and in calm."""
    tries, faults = [], []
    for event in history:
        if isinstance(event, Submitted):
            tries.append(event)
        elif isinstance(event, Fault):
            faults.append(event)
    sorted_out: dict[str, list[Submitted]] = defaultdict(list)
    for tried in tries:
        for name in _weather(tried, faults):
            sorted_out[name].append(tried)
    return {
        name: _answers(sorted_out[name]) for name in sorted(sorted_out, key=lambda name: (name != CALM, name))
    }


def quantile(values: Iterable[float], share: float) -> float | None:
    """The smallest value that so large a share of them does not exceed."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)] if ordered else None


def _weather(tried: Submitted, faults: Sequence[Fault]) -> set[str]:
    """The faults during or soon after which a try was under way.

    Where one of them struck what a submission needs, the others explain nothing.
    """
    began = tried.at - tried.seconds
    about = [fault for fault in faults if fault.at <= tried.at and began <= fault.until + _AFTERMATH]
    needed = [fault for fault in about if _is_needed(fault)]
    if len({fault.target for fault in needed}) > 1:
        return {SEVERAL}
    return {fault.name for fault in needed or about} or {CALM}


def _is_needed(fault: Fault) -> bool:
    """Whether a submission needs what it struck: the API, and the ledger behind it."""
    return FAULTS[fault.name].lane is Lane.LEDGER or fault.target in _API


def _answers(tries: Sequence[Submitted]) -> Answers:
    seconds = [tried.seconds for tried in tries if tried.status == HTTPStatus.ACCEPTED]
    return Answers(
        tries=len(tries),
        accepted=round(len(seconds) / len(tries), 4),
        p50=quantile(seconds, 0.5),
        p99=quantile(seconds, 0.99),
        otherwise=dict(
            Counter(
                str(tried.status or tried.failure) for tried in tries if tried.status != HTTPStatus.ACCEPTED
            )
        ),
    )


def text(report: Report) -> str:
    """The tables as plain text."""
    console = Console(width=_WIDE, force_terminal=False)
    with console.capture() as captured:
        console.print(tables(report))
    return captured.get()


def tables(report: Report) -> Group:
    """What a person reads."""
    return Group(_summary(report), _weather_table(report), *_complaints(report))


def _summary(report: Report) -> Table:
    setting = report.setting
    table = Table(
        "what",
        "count",
        title=f"Chaos on {setting.broker}, seed {setting.seed}: {setting.seconds:g} s at {setting.rate:g}/s",
    )
    for name, value in _figures(report):
        table.add_row(name, value)
    table.add_section()
    table.add_row("verdict", _mark(report))
    return table


def _mark(report: Report) -> str:
    if not report.valid:
        return "[red]INVALID[/]"
    return "[red]valid, and too little[/]" if report.lacking else "[green]valid: the promise held[/]"


def _figures(report: Report) -> Iterator[tuple[str, str]]:
    verdict = report.verdict
    yield "tries to submit", str(verdict.attempts)
    yield "accepted jobs", str(verdict.accepted)
    yield "ok", str(verdict.ok)
    yield "lost", str(len(verdict.lost))
    yield "unexpected", str(len(verdict.unexpected))
    yield "overlapping", str(len(verdict.overlapping))
    yield "keyed effects doubled", str(len(verdict.doubled))
    yield "repeated runs", str(verdict.repeated)
    yield "late runs, refused", str(verdict.late)
    yield "condemned by faults", str(verdict.condemned)
    yield "recovered", str(verdict.recovered)
    yield "recovery p50 / p99 / max", " / ".join(f"{value:.1f} s" for value in report.recovery.values())
    yield "submissions never answered", str(verdict.unanswered)
    yield "processes that died of themselves", str(len(verdict.died))
    yield "quiet after", f"{report.setting.quiet_seconds:g} s"
    yield "faults", str(sum(verdict.faults.values()))
    yield "faults that found nothing to strike", str(sum(report.setting.missed.values()))
    yield "faults that could not be carried out", str(len(report.setting.errors))


def _weather_table(report: Report) -> Table:
    table = Table("while", "faults", "tries", "202", "p50", "p99", "otherwise", title="Submissions")
    for name, answers in report.answers.items():
        table.add_row(
            name,
            str(report.verdict.faults.get(name, "")),
            str(answers.tries),
            f"{answers.accepted:.1%}",
            _milliseconds(answers.p50),
            _milliseconds(answers.p99),
            ", ".join(f"{what}: {count}" for what, count in sorted(answers.otherwise.items())),
        )
    for name in sorted(report.verdict.faults.keys() - report.answers.keys()):
        table.add_row(name, str(report.verdict.faults[name]), "0", "", "", "", "")
    return table


def _milliseconds(seconds: float | None) -> str:
    return "" if seconds is None else f"{1000 * seconds:.0f} ms"


def _complaints(report: Report) -> Iterator[Text]:
    verdict = report.verdict
    sorts: dict[str, Sequence[Violation | str]] = {
        "lost": verdict.lost,
        "unexpected": verdict.unexpected,
        "overlapping": verdict.overlapping,
        "doubled": verdict.doubled,
        "died of itself": verdict.died,
        "fault not carried out": report.setting.errors,
        "too little": report.lacking,
    }
    for sort, found in sorts.items():
        for violation in found[:_SHOWN]:
            said = violation if isinstance(violation, str) else f"{violation.job}: {violation.reason}"
            yield Text(f"{sort}: {said}")
        if len(found) > _SHOWN:
            yield Text(f"{sort}: and {len(found) - _SHOWN} more, in report.json")
