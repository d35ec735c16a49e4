"""What Prometheus and Alertmanager are given, read by their own tools."""

import shutil
import subprocess

import pytest

from tests.observing import OPS

MISSING = "no {} here: install {}, as .ci/packages does"


def run(program: str, package: str, *words: str) -> str:
    if shutil.which(program) is None:
        pytest.skip(MISSING.format(program, package))
    ended = subprocess.run(
        [program, *words], cwd=OPS, capture_output=True, text=True, timeout=120, check=False
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


def promtool(*words: str) -> str:
    return run("promtool", "prometheus", *words)


def amtool(*words: str) -> str:
    return run("amtool", "prometheus-alertmanager", *words)


def test_the_rules_do_what_their_tests_say() -> None:
    files = sorted(str(path.relative_to(OPS)) for path in (OPS / "prometheus" / "tests").glob("*.yml"))
    said = promtool("test", "rules", *files)
    assert said.count("SUCCESS") == len(files) > 0


def test_the_rules_are_of_good_form() -> None:
    files = sorted(str(path.relative_to(OPS)) for path in (OPS / "prometheus" / "rules").glob("*.yml"))
    promtool("check", "rules", "--lint=all", "--lint-fatal", *files)


@pytest.mark.parametrize("name", ["prometheus.yml", "local.yml"])
def test_prometheus_accepts_its_configuration(name: str) -> None:
    promtool("check", "config", f"prometheus/{name}")


def test_alertmanager_accepts_its_configuration() -> None:
    amtool("check-config", "alertmanager/alertmanager.yml")


@pytest.mark.parametrize(("severity", "receiver"), [("page", "pages"), ("ticket", "tickets")])
def test_an_alert_goes_to_those_who_must_know(severity: str, receiver: str) -> None:
    config = "--config.file=alertmanager/alertmanager.yml"
    said = amtool("config", "routes", "test", config, f"severity={severity}", "alertname=QueueLate")
    assert said.strip() == receiver
