"""The dashboards on a real Prometheus that scrapes a running platform: every query returns data."""

import math
import os
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
import urllib3

from ops.embedded.ports import free_ports
from ops.tour.site import SlowSite
from tests.awaiting import eventually
from tests.integration.test_platform import Platform, command, platform
from tests.observing import METRIC, OPS, RULES, Query, queries, rules

# What Grafana puts in the places of its variables.
VARIABLES = {"$queue": "web", "$kind": "web.fetch", "$__rate_interval": "30s"}
TICK = 'kind = "web.fetch"\ncron = "*/2 * * * * *"\n\n[payload]\nurl = "{url}/pages/2"\n'


class Prometheus:
    """A Prometheus that may be asked."""

    def __init__(self, port: int) -> None:
        self._url = f"http://127.0.0.1:{port}"

    def ready(self) -> bool:
        try:
            return urllib3.request("GET", f"{self._url}/-/ready", retries=False).status == 200
        except urllib3.exceptions.HTTPError:
            return False

    def ask(self, path: str, **fields: str) -> Any:
        answer = urllib3.request("GET", f"{self._url}/api/v1/{path}", fields=fields, retries=False).json()
        assert answer["status"] == "success", answer
        return answer["data"]

    def values(self, expression: str) -> list[float]:
        """What a query returns now, without what is no number."""
        found = (float(sample["value"][1]) for sample in self.ask("query", query=expression)["result"])
        return [value for value in found if not math.isnan(value)]


@pytest.fixture(scope="module")
def observed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """A Prometheus of a platform on which jobs are done."""
    if shutil.which("prometheus") is None:
        pytest.skip("no Prometheus here: install prometheus, as .ci/packages does")
    folder = tmp_path_factory.mktemp("observed")
    for parent in (folder, *folder.parents[:2]):
        if parent.name.startswith("pytest"):
            parent.chmod(0o711)  # as root the servers' account must pass through
    (folder / "schedules").mkdir()
    with SlowSite([b"", b"", b"a page"]) as site:
        (folder / "schedules" / "tick.toml").write_text(TICK.format(url=site.url))
        with platform(folder / "home", schedules=str(folder / "schedules")) as up, busy(up, site):
            yield from prometheus(up, folder)


@contextmanager
def busy(up: Platform, site: SlowSite) -> Iterator[None]:
    """Let jobs be submitted all the while."""
    over = threading.Event()

    def submit() -> None:
        while not over.wait(0.5):
            up.client.submit("web.fetch", {"url": f"{site.url}/pages/2"})

    thread = threading.Thread(target=submit)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        up.client.close()


def prometheus(up: Platform, folder: Path) -> Iterator[Prometheus]:
    (port,) = free_ports(1)
    (folder / "targets.json").write_text(command(up.home, "status", "--targets").stdout)
    (folder / "prometheus.yml").write_bytes(configuration(folder))
    with (folder / "prometheus.log").open("wb") as log:
        process = subprocess.Popen(
            [
                "prometheus",
                f"--config.file={folder / 'prometheus.yml'}",
                f"--storage.tsdb.path={folder / 'prometheus'}",
                f"--web.listen-address=127.0.0.1:{port}",
            ],
            stdout=log,
            stderr=log,
            cwd=folder,
            env={"PATH": os.environ["PATH"]},
        )
    try:
        running = Prometheus(port)
        eventually(running.ready)
        yield running
    finally:
        process.terminate()
        process.wait(30)


def configuration(folder: Path) -> bytes:
    """The one for a platform on this machine, quicker, and with its files where they are here."""
    config = msgspec.yaml.decode((OPS / "prometheus" / "local.yml").read_bytes())
    config["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    config["rule_files"] = [str(path) for path in RULES]
    config["scrape_configs"][0]["file_sd_configs"] = [{"files": [str(folder / "targets.json")]}]
    return msgspec.yaml.encode(config)


@pytest.mark.parametrize("query", queries(), ids=lambda query: f"{query.dashboard}: {query.panel}")
def test_every_panel_has_data(observed: Prometheus, query: Query) -> None:
    expression = query.expression
    for variable, value in VARIABLES.items():
        expression = expression.replace(variable, value)
    assert "$" not in expression
    eventually(lambda: observed.values(expression), 60)


def test_every_process_is_scraped(observed: Prometheus) -> None:
    eventually(lambda: observed.values("sum(up)") == [8.0], 60)
    names = {target["labels"]["name"] for target in observed.ask("targets")["activeTargets"]}
    assert {"api", "beat", "worker-web", "worker-upkeep"} <= names


@pytest.mark.parametrize("rule", rules("record"), ids=lambda rule: rule["record"])
def test_every_recording_rule_records(observed: Prometheus, rule: dict[str, str]) -> None:
    eventually(lambda: observed.values(rule["record"]), 60)


@pytest.mark.parametrize("rule", rules("alert"), ids=lambda rule: rule["alert"])
def test_every_metric_of_an_alert_is_there(observed: Prometheus, rule: dict[str, str]) -> None:
    wanted = set(METRIC.findall(rule["expr"]))
    eventually(lambda: wanted <= set(observed.ask("label/__name__/values")), 60)


def test_a_platform_in_order_raises_no_alert(observed: Prometheus) -> None:
    groups = observed.ask("rules", type="alert")["groups"]
    evaluated = [rule for group in groups for rule in group["rules"]]
    assert {rule["health"] for rule in evaluated} == {"ok"}
    assert [rule["name"] for rule in evaluated if rule["state"] == "firing"] == []
