"""The timeline of a run as a picture: what clients saw, which faults struck, and what came of the jobs.

Three panels share one axis of time. The specification is Vega-Lite's, drawn without a browser.
"""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from http import HTTPStatus
from pathlib import Path
from typing import Any

from ops.chaos.history import Alive, AnyEvent, Done, Fault, Started, Submitted

_WIDTH = 1100  # pixels
_VERSION = "6.4"  # of Vega-Lite
_SCALE = 1.5  # of the PNG

Row = dict[str, Any]


def draw(history: Sequence[AnyEvent], out: Path) -> None:
    """Write timeline.svg and timeline.png into a folder."""
    import vl_convert  # noqa: PLC0415 - it comes with workers alone, and every command's help is told without them

    specification = spec(history)
    svg = vl_convert.vegalite_to_svg(specification, vl_version=_VERSION)
    (out / "timeline.svg").write_text(svg)
    (out / "timeline.png").write_bytes(
        vl_convert.vegalite_to_png(specification, vl_version=_VERSION, scale=_SCALE)
    )


def spec(history: Sequence[AnyEvent]) -> dict[str, Any]:
    """The picture's specification."""
    began = min((event.at for event in history if isinstance(event, Submitted)), default=0.0)
    last = max((event.at for event in history if isinstance(event, Submitted | Alive | Done)), default=0.0)
    panels = [
        _panel(_answers(history, began), "tries to submit a second, by answer", "answer"),
        _latencies(history, began),
        _faults(history, began),
        _panel(_runs(history, began), "runs a second", "run"),
    ]
    for panel in panels:
        panel["mark"]["clip"] = True
        panel["encoding"]["x"]["scale"] = {"domain": [0, math.ceil(last - began)], "nice": False}
    return {
        "$schema": "https://vega.github.io/schema/vega-lite/v6.json",
        "title": "What clients saw, what was broken, and what ran",
        "config": {"view": {"stroke": None}, "axis": {"grid": False}},
        "resolve": {"scale": {"color": "independent", "x": "shared"}},
        "vconcat": panels,
    }


def _panel(rows: list[Row], title: str, colour: str) -> Row:
    return {
        "width": _WIDTH,
        "height": 140,
        "data": {"values": rows},
        "mark": {"type": "bar", "size": max(1.0, _WIDTH / max(1, _seconds(rows)) - 0.3)},
        "encoding": {
            "x": _time("second"),
            "y": {"field": "count", "type": "quantitative", "title": title},
            "color": {"field": colour, "type": "nominal", "title": colour},
        },
    }


def _seconds(rows: Iterable[Row]) -> int:
    return max((row["second"] for row in rows), default=1)


def _time(field: str) -> Row:
    return {"field": field, "type": "quantitative", "title": "seconds"}


def _latencies(history: Iterable[AnyEvent], began: float) -> Row:
    rows = [
        {"second": round(event.at - began, 2), "milliseconds": max(1.0, 1000 * event.seconds)}
        for event in history
        if isinstance(event, Submitted) and event.status == HTTPStatus.ACCEPTED
    ]
    return {
        "width": _WIDTH,
        "height": 140,
        "data": {"values": rows},
        "mark": {"type": "point", "size": 4, "opacity": 0.4, "filled": True},
        "encoding": {
            "x": _time("second"),
            "y": {
                "field": "milliseconds",
                "type": "quantitative",
                "scale": {"type": "log"},
                "title": "ms to a 202",
            },
        },
    }


def _faults(history: Iterable[AnyEvent], began: float) -> Row:
    rows = [
        {
            "from": round(event.at - began, 2),
            "to": round(max(event.until, event.at + 0.4) - began, 2),
            "fault": event.name,
        }
        for event in history
        if isinstance(event, Fault)
    ]
    return {
        "width": _WIDTH,
        "height": {"step": 14},
        "data": {"values": rows},
        "mark": {"type": "bar", "height": 9},
        "encoding": {
            "x": _time("from"),
            "x2": {"field": "to"},
            "y": {"field": "fault", "type": "nominal", "title": None},
            "color": {"field": "fault", "type": "nominal", "legend": None},
        },
    }


def _answers(history: Iterable[AnyEvent], began: float) -> list[Row]:
    counts = Counter(
        (int(event.at - began), str(event.status or event.failure))
        for event in history
        if isinstance(event, Submitted)
    )
    return [{"second": second, "answer": answer, "count": n} for (second, answer), n in counts.items()]


def _runs(history: Iterable[AnyEvent], began: float) -> list[Row]:
    """Runs by the second of their last sign: those that came to their end, and those that did not."""
    last: dict[str, tuple[float, str]] = {}
    for event in history:
        if isinstance(event, Started | Alive):
            last[event.run] = (event.at, "cut off or failed")
        elif isinstance(event, Done):
            last[event.run] = (event.at, "came to its end")
    counts = Counter((int(at - began), run) for at, run in last.values())
    return [{"second": second, "run": run, "count": n} for (second, run), n in counts.items()]
