"""What operators see and do in Flower, in a browser: its login, workers, tasks, and the buttons that act."""

import contextlib
import re
from datetime import UTC, datetime, timedelta

import psutil
import pytest
import urllib3
from playwright.sync_api import Browser, Error, Page, expect

from api.client import Job
from ops.tour.pipeline import Pipeline
from ops.tour.site import SlowSite
from tests.awaiting import eventually
from tests.browser.conftest import PATIENCE, Picture
from tests.integration.test_platform import WEATHER, Platform
from worker.contract.queues import QUEUES, WORKERS

OPERATOR = "operator, through Celery's remote control"
CLOCKS = timedelta(seconds=1)  # between two processes of this machine
_TOAST = 10_000  # milliseconds
MAIL = {"to": ["ada@example.org"], "subject": "Hello", "text": "Hi!"}

expect.set_options(timeout=PATIENCE)


@pytest.mark.parametrize("login", [None, {"username": "operator", "password": "guessed"}])
def test_without_the_right_login_nothing_is_seen(
    up: Platform, browser: Browser, login: dict[str, str] | None
) -> None:
    url = urllib3.util.parse_url(up.status.urls.flower)
    with browser.new_context(http_credentials=login) as context:
        page = context.new_page()
        answers: list[int] = []
        page.on("response", lambda answer: answers.append(answer.status))
        for path in ("/", "/workers", "/tasks", "/api/workers"):
            with contextlib.suppress(Error):  # a page that Chromium has for what it was refused
                page.goto(f"http://{url.host}:{url.port}{path}")
        assert answers == [401] * 4


def test_finished_tasks_are_seen_by_their_kinds_names(up: Platform, site: SlowSite, flower: Page) -> None:
    assert all(scene.good for scene in Pipeline(up.client, site, WEATHER, up.home).scenes())
    job = up.client.run("web.fetch", {"url": f"{site.url}/pages/2?token=s3cret"}, PATIENCE / 1000)
    _settled(flower, job, "SUCCESS")
    expect(flower.locator(".task-name-value")).to_have_text("web.fetch")
    assert "s3cret" not in flower.content()
    flower.goto("/tasks")
    rows = flower.locator("#tasks-table tbody tr")
    for kind in ("web.fetch", "database.load", "report.render", "email.send"):
        expect(rows.filter(has_text=kind).filter(has_text="SUCCESS").first).to_be_visible()


def test_all_workers_are_seen_by_their_names(flower: Page, picture: Picture) -> None:
    flower.goto("/workers")
    rows = flower.locator("#workers-table tbody tr")
    for name in WORKERS:
        expect(rows.filter(has_text=re.compile(f"^{name}@")).filter(has_text="Online")).to_have_count(1)
    picture(flower, "flower-workers")


def test_a_task_that_runs_is_terminated(up: Platform, site: SlowSite, flower: Page, picture: Picture) -> None:
    before = site.visits["/endless"]
    job = up.client.submit("web.fetch", {"url": f"{site.url}/endless", "timeout": 60})
    eventually(lambda: site.visits["/endless"] > before)
    began = datetime.now(UTC)
    _task(flower, job, "STARTED")
    flower.get_by_role("button", name="Terminate").click()
    ended = _cancelled(up, job, began)
    assert [entry.outcome for entry in ended.history if entry.event == "attempt"] == ["cancelled"]
    _settled(flower, job, "REVOKED")
    flower.goto("/tasks")
    expect(flower.locator("#tasks-table tbody tr", has_text=job.id)).to_contain_text("REVOKED")
    picture(flower, "flower-tasks")


def test_a_task_that_waits_for_its_next_attempt_is_revoked(
    up: Platform, site: SlowSite, flower: Page
) -> None:
    missing = {"url": f"{site.url}/flaky", "expected_statuses": [404]}
    job = up.client.submit("web.fetch", missing)
    began = datetime.now(UTC)
    _task(flower, job, "RETRY")
    flower.get_by_role("button", name="Revoke").click()
    _cancelled(up, job, began)


def test_no_page_shows_a_password(up: Platform, flower: Page) -> None:
    urls = up.status.urls
    secrets = [
        urllib3.util.parse_url(url).auth.rpartition(":")[2]
        for url in (urls.broker, urls.flower, urls.database)
    ]
    _worker(flower, "web")
    for path in (flower.url, "/workers", "/broker"):
        flower.goto(path)
        assert [secret for secret in secrets if secret in flower.content()] == []


def test_a_pool_of_processes_grows_and_shrinks(up: Platform, flower: Page) -> None:
    slots = QUEUES["report"].concurrency
    _worker(flower, "report")
    flower.locator("#pool-size").fill("2")
    flower.get_by_role("button", name="Grow").click()
    eventually(lambda: _children(up, "worker-report") == slots + 2)
    flower.locator("#pool-size").fill("1")
    flower.get_by_role("button", name="Shrink").click()
    eventually(lambda: _children(up, "worker-report") == slots + 1)


def test_a_control_that_a_worker_does_not_have_says_so(flower: Page) -> None:
    _worker(flower, "web")
    for button in ("grow", "shrink"):
        _refused(flower, f"#worker-pool-{button}", "a pool of threads keeps its size")
    flower.locator("#min-autoscale").fill("1")
    flower.locator("#max-autoscale").fill("2")
    _refused(flower, "#worker-pool-autoscale", "Autoscale not enabled")
    flower.get_by_role("tab", name="Queues").click()
    flower.locator("#add-consumer-name").fill("wbe")
    _refused(flower, "#worker-add-consumer", "there is no queue wbe")
    flower.get_by_role("tab", name="Limits").click()
    limits = flower.locator("#limits-table tr", has_text="web.fetch")
    limits.get_by_placeholder("Rate").fill("1")
    limits.get_by_placeholder("Seconds").fill("1")
    for button in ("rate-limit", "timeout-hard"):
        _refused(flower, f'[id="task-{button}-web.fetch"]', "Unknown task 'web.fetch'")


def test_a_queue_is_left_and_taken_up_again(up: Platform, flower: Page) -> None:
    up.client.run("email.send", MAIL, PATIENCE / 1000)
    _worker(flower, "email")
    flower.get_by_role("tab", name="Queues").click()
    flower.get_by_role("button", name="Cancel Consumer").click()
    eventually(lambda: up.client.queue("email").workers == [])
    waiting = up.client.submit("email.send", MAIL)
    _reload_until(flower, "#worker-queues tr", 0)
    assert up.client.job(waiting.id).state == "queued"
    flower.get_by_role("tab", name="Queues").click()
    flower.locator("#add-consumer-name").fill("email")
    flower.get_by_role("button", name="Add").click()
    assert up.client.wait(waiting.id, PATIENCE / 1000).state == "succeeded"
    eventually(lambda: len(up.client.queue("email").workers) == 1)
    _reload_until(flower, "#worker-queues tr", 1)


def _task(flower: Page, job: Job, state: str) -> None:
    """Open the page of a task, as soon as Flower heard that it is in that state."""

    def look() -> bool:
        flower.goto(f"/task/{job.id}")
        return flower.locator(".badge", has_text=state).count() == 1

    eventually(look)


def _settled(flower: Page, job: Job, state: str) -> None:
    _task(flower, job, state)
    for button in ("Terminate", "Revoke"):
        expect(flower.get_by_role("button", name=button)).to_have_count(0)


def _cancelled(up: Platform, job: Job, since: datetime) -> Job:
    """The job, once the ledger says that an operator cancelled it, and when."""
    ended = up.client.wait(job.id, PATIENCE / 1000)
    assert ended.state == "cancelled"
    (act,) = (entry for entry in ended.history if entry.event == "act")
    assert (act.act, act.actor) == ("cancel", OPERATOR)
    assert act.acted_at is not None
    assert since - CLOCKS <= act.acted_at <= datetime.now(UTC) + CLOCKS
    return ended


def _worker(flower: Page, name: str) -> None:
    """Open the page of a worker."""
    flower.goto("/workers")
    flower.get_by_role("link", name=re.compile(f"^Worker {name}@")).click()
    expect(flower.locator("#workername")).to_contain_text(f"{name}@")
    flower.wait_for_load_state("load")  # before that its buttons do nothing


def _refused(flower: Page, button: str, reason: str) -> None:
    """Press a button until the page says why not; Flower waits a second for the worker, not longer."""

    def press() -> bool:
        flower.locator(button).click()
        told = flower.locator(".toast.text-bg-danger .toast-body").last
        try:
            return reason in (told.text_content(timeout=_TOAST) or "")
        except Error:  # it goes by itself, and may have gone unseen
            return False

    eventually(press)


def _reload_until(flower: Page, rows: str, count: int) -> None:
    """Flower shows what it knew of a worker, and asks it anew for the next time."""

    def look() -> bool:
        flower.reload()
        return flower.locator(rows).count() == count

    eventually(look)


def _children(up: Platform, name: str) -> int:
    return len(psutil.Process(up.pid(name)).children())
