"""`jobyard schedules` against an API that serves."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from click.testing import CliRunner

from ops.cli import main
from tests.integration.api.server import Server
from worker.settings import Settings

Run = Callable[..., str]


@pytest.fixture(scope="module")
def settings(served: Settings) -> Settings:
    return served


@pytest.fixture
def run(server: Server, key: str) -> Run:
    def run(*words: str, status: int = 0) -> str:
        environment = {"JOBYARD_API_URL": f"http://127.0.0.1:{server.port}", "JOBYARD_API_KEY": key}
        done = CliRunner().invoke(main, ["schedules", *words], env=environment)
        assert done.exit_code == status, done.output
        return done.output

    return run


def test_a_schedule_is_saved_seen_run_changed_and_deleted(run: Run) -> None:
    job = ("web.fetch", '{"url": "https://example.com/"}')
    saved: dict[str, Any] = json.loads(
        run("create", "rates", *job, "--cron", "0 6 * * MON-FRI", "--timezone", "Europe/Berlin", "--disabled")
    )
    assert saved["enabled"] is False
    assert "rates" in run("list")
    assert len(json.loads(run("enable", "rates"))["next_fire_times"]) == 5

    fired = json.loads(run("run", saved["id"]))

    assert fired["tags"] == ["schedule:rates"]
    listed = run("firings", "rates")
    assert fired["id"] in listed
    assert "by hand" in listed
    assert "rates already" in run("create", "rates", *job, "--every", "60", status=1)
    assert json.loads(run("create", "rates", *job, "--every", "60", "--replace"))["every"] == 60
    assert json.loads(run("disable", "rates"))["next_fire_at"] is None
    assert json.loads(run("show", "rates"))["id"] == saved["id"]
    assert run("delete", "rates") == "schedule rates deleted\n"
    gone = run("show", "rates", status=1)
    assert "you have no schedule rates; `jobyard schedules list` names yours" in gone
    assert "another client's goes by its id: `jobyard schedules list --client '*'`" in gone


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["x", "web.fetch", "{"], "PAYLOAD is no JSON"),
        (["x", "web.fetch", "{}"], "cron: one of cron, every and at is needed, and none is given"),
        (["x", "web.fetch", "{}", "--cron", "99 * * * *"], "cron: '99 * * * *': Bad minute"),
    ],
)
def test_a_mistake_is_told(run: Run, words: list[str], said: str) -> None:
    assert said in run("create", *words, status=1)
