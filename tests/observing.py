"""What Prometheus and Grafana are given, as tests read it."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

OPS = Path(__file__).parents[1] / "ops"
RULES = tuple(sorted((OPS / "prometheus" / "rules").glob("*.yml")))
DASHBOARDS = tuple(sorted((OPS / "grafana" / "dashboards").glob("*.json")))
METRIC = re.compile(r"(?<![\w:])jobyard_[a-z0-9_]+")


class Query(NamedTuple):
    """One of a panel."""

    dashboard: str
    panel: str
    expression: str


def rules(word: str) -> list[dict[str, Any]]:
    """The recording rules (`record`) or the alerts (`alert`) of all files."""
    groups = [group for path in RULES for group in msgspec.yaml.decode(path.read_bytes())["groups"]]
    return [rule for group in groups for rule in group["rules"] if word in rule]


def boards() -> list[dict[str, Any]]:
    """The dashboards."""
    return [msgspec.json.decode(path.read_bytes()) for path in DASHBOARDS]


def queries() -> list[Query]:
    """Of every panel, and of every variable, whose form is `label_values(metric, label)`."""
    return [query for board in boards() for query in (*_of_variables(board), *_of_panels(board))]


def _of_variables(board: dict[str, Any]) -> Iterator[Query]:
    for variable in board["templating"]["list"]:
        metric, label = variable["query"].removeprefix("label_values(").removesuffix(")").split(", ")
        yield Query(board["uid"], f"${variable['name']}", f"count by ({label}) ({metric})")


def _of_panels(board: dict[str, Any]) -> Iterator[Query]:
    for panel in board["panels"]:
        for target in panel["targets"]:
            yield Query(board["uid"], panel["title"], target["expr"])
