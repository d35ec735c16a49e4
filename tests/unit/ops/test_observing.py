"""Rules, dashboards and runbooks speak of what there is."""

import re
from pathlib import Path

import click
import msgspec
import pytest
from prometheus_client import CollectorRegistry

from api.metrics import Metrics as ApiMetrics
from ops.cli import main
from ops.supervisor.roles import role_table
from schedules.metrics import Metrics as BeatMetrics
from schedules.observation import Observation
from tests.observing import METRIC, OPS, Query, boards, queries, rules
from tests.unit.schedules.stand_ins import FakeLedger
from worker.connections import Connections
from worker.contract.queues import QUEUES, WORKERS
from worker.runtime.metrics import Metrics as WorkerMetrics
from worker.settings import Settings

ALERTS = {rule["alert"]: rule for rule in rules("alert")}
RUNBOOKS = {path.stem: path.read_text() for path in (OPS / "runbooks").glob("[A-Z]*[a-z].md")}
PROMETHEUS = (OPS / "prometheus" / "prometheus.yml").read_bytes()


def known() -> set[str]:
    """The names of all series of all roles."""
    api, worker, beat = CollectorRegistry(), CollectorRegistry(), BeatMetrics()
    ApiMetrics(api)
    Connections(api)
    WorkerMetrics(worker, {})
    Observation(FakeLedger(), QUEUES.values(), Settings(), beat)  # type: ignore[arg-type]  # never used
    return {
        family.name + suffix
        for registry in (api, worker, beat.registry)
        for family in registry.collect()
        for suffix in _SUFFIXES[family.type]
    }


_SUFFIXES = {"counter": ("_total",), "gauge": ("",), "histogram": ("_bucket", "_count", "_sum")}


@pytest.mark.parametrize("query", queries(), ids=lambda query: f"{query.dashboard}: {query.panel}")
def test_a_panel_asks_for_metrics_that_a_role_has(query: Query) -> None:
    recorded = {rule["record"] for rule in rules("record")}
    assert set(METRIC.findall(query.expression)) <= known()
    assert set(re.findall(r"\w+:jobyard_\w+:\w+", query.expression)) <= recorded


@pytest.mark.parametrize("rule", rules("alert") + rules("record"), ids=lambda rule: str(rule)[:40])
def test_a_rule_asks_for_metrics_that_a_role_has(rule: dict[str, str]) -> None:
    assert set(METRIC.findall(rule["expr"])) <= known()


def test_every_alert_has_its_runbook_and_every_runbook_its_alert() -> None:
    assert set(ALERTS) == set(RUNBOOKS)
    for rule in rules("alert"):
        assert rule["annotations"]["runbook"] == f"ops/runbooks/{rule['alert']}.md"


def test_what_alertmanager_holds_back_are_alerts_that_there_are() -> None:
    config = msgspec.yaml.decode((OPS / "alertmanager" / "alertmanager.yml").read_bytes())
    matchers = [
        matcher
        for rule in config["inhibit_rules"]
        for matcher in rule["source_matchers"] + rule["target_matchers"]
        if matcher.startswith("alertname")
    ]
    assert matchers
    for matcher in matchers:
        for name in re.split(r"\|", matcher.partition("=")[2].strip('~"')):
            assert any(re.fullmatch(name, alert) for alert in ALERTS), name


def test_prometheus_asks_every_role_that_has_metrics() -> None:
    jobs = msgspec.yaml.decode(PROMETHEUS)["scrape_configs"]
    asked = {
        (name, job["job_name"])
        for job in jobs
        for discovery in job["dns_sd_configs"]
        for name in discovery["names"]
    }
    assert asked == {
        (role.name, role.role) for role in role_table(Settings()) if role.metrics_port is not None
    }


@pytest.mark.parametrize("page", sorted((OPS / "runbooks").glob("*.md")), ids=lambda page: page.stem)
def test_a_runbook_names_commands_that_there_are(page: Path) -> None:
    told = re.findall(r"(?<![=\w])jobyard((?: [a-z][a-z-]*)+)((?: --[a-z-]+)*)", page.read_text())
    for words, options in told:
        command: click.Command = main
        for word in words.split():
            if not isinstance(command, click.Group):
                break
            found = command.get_command(click.Context(command), word)
            assert found is not None, f"jobyard{words}"
            command = found
        declared = {option for parameter in command.params for option in parameter.opts}
        assert set(options.split()) <= declared, f"jobyard{words}{options}"


def test_the_runbook_of_queues_knows_their_slots() -> None:
    told = re.findall(r"(\d+) of (\w+)[,.]", (OPS / "runbooks" / "queues.md").read_text())
    assert {name: int(slots) for slots, name in told} == {
        queues[0].name: queues[0].concurrency for queues in WORKERS.values()
    }


def test_dashboards_have_names_of_their_own_and_panels_that_do_not_overlap() -> None:
    assert len({board["uid"] for board in boards()}) == len(boards()) == 4
    for board in boards():
        fields = [
            (x, y)
            for panel in board["panels"]
            for x in range(panel["gridPos"]["x"], panel["gridPos"]["x"] + panel["gridPos"]["w"])
            for y in range(panel["gridPos"]["y"], panel["gridPos"]["y"] + panel["gridPos"]["h"])
        ]
        assert len(fields) == len(set(fields))
        assert all(x < 24 for x, _ in fields)
