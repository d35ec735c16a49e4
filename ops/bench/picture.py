"""The medians as a picture: a panel for each figure that several contenders have, a bar for each of them."""

from pathlib import Path
from typing import Any

from ops.bench.figures import Figure
from ops.bench.results import Results
from ops.bench.table import figures_of

_VERSION = "6.4"  # of Vega-Lite
_WIDTH = 700  # pixels

FILE = "results.svg"


def draw(results: Results, folder: Path) -> None:
    """Write the picture."""
    import vl_convert  # noqa: PLC0415 - it comes with workers alone, and every command's help is told without them

    (folder / FILE).write_text(vl_convert.vegalite_to_svg(spec(results), vl_version=_VERSION))


def spec(results: Results) -> dict[str, Any]:
    """The specification, in Vega-Lite."""
    return {
        "$schema": "https://vega.github.io/schema/vega-lite/v6.json",
        "config": {"view": {"stroke": None}},
        "resolve": {"scale": {"x": "independent", "y": "independent"}},
        "vconcat": [
            _panel(name, figure, rows)
            for name in results
            for figure, rows in _rows(results, name).items()
            if len(rows) > 1
        ],
    }


def _rows(results: Results, name: str) -> dict[str, list[dict[str, Any]]]:
    """Of a measure, by figure."""
    measured, rows = results[name], dict[str, list[dict[str, Any]]]()
    for contender, figure in figures_of(measured.rounds):
        spread = measured.figures.spread(Figure(contender, figure))
        if spread is not None:
            ends = {"median": spread.median, "least": spread.least, "most": spread.most}
            rows.setdefault(figure, []).append({"contender": contender, **ends})
    return rows


def _panel(name: str, figure: str, rows: list[dict[str, Any]]) -> dict[str, Any]:
    y = {"field": "contender", "type": "nominal", "title": None, "sort": None}
    return {
        "title": f"{name}: {figure}",
        "width": _WIDTH,
        "height": {"step": 18},
        "data": {"values": rows},
        "layer": [
            {
                "mark": {"type": "bar", "opacity": 0.7},
                "encoding": {"y": y, "x": {"field": "median", "type": "quantitative", "title": None}},
            },
            {
                "mark": {"type": "rule"},
                "encoding": {
                    "y": y,
                    "x": {"field": "least", "type": "quantitative"},
                    "x2": {"field": "most"},
                },
            },
        ],
    }
