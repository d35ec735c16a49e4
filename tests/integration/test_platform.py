"""The whole platform as its users meet it: one `jobyard up`, its API, its command, and what dies in it."""

import json
import os
import shutil
import signal
import smtplib
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import psutil
import pytest
import redis
import urllib3

from api.client import Client
from ops.cli.site import found_settings
from ops.supervisor import Status, read_status
from ops.tour.pipeline import DEFINITIONS, Pipeline
from ops.tour.site import SlowSite
from tests.awaiting import eventually

PAGES = [b"the first page\n", b"the second page\n", b"the third page\n"]
WEATHER = (
    b"date,precipitation,temp_max,temp_min,wind,weather\n"
    b"2012-01-01,0.0,12.8,5.0,4.7,drizzle\n2012-02-02,10.9,10.6,2.8,4.5,rain\n"
)
CLIENTS = Path(__file__).parent / "clients"
BEGUN = 120.0  # seconds that a platform gets to come up here
PATIENCE = 60.0  # seconds for a job that takes a moment, on a busy machine


class Platform:
    """A running platform and a client of it."""

    def __init__(self, home: Path, process: subprocess.Popen[bytes], status: Status) -> None:
        self.home = home
        self.process = process
        self.status = status
        self.client = Client(status.urls.api, Path(status.key_file).read_text().strip(), connections=64)

    def pid(self, name: str) -> int | None:
        record = read_status(self.home)
        assert record is not None
        return {process.name: process.pid for process in record.status.processes}[name]


def command(home: Path, *words: str) -> subprocess.CompletedProcess[str]:
    environ = {name: value for name, value in os.environ.items() if not name.startswith("JOBYARD_")}
    return subprocess.run(
        [sys.executable, "-m", "ops", *words],
        env=environ | {"JOBYARD_HOME": str(home)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@contextmanager
def platform(home: Path, **settings: str) -> Iterator[Platform]:
    environ = {name: value for name, value in os.environ.items() if not name.startswith("JOBYARD_")}
    environ |= {
        "JOBYARD_HOME": str(home),
        "JOBYARD_API_PORT": "0",
        "JOBYARD_FLOWER_PORT": "0",
        "JOBYARD_WEB_ALLOW": "127.0.0.0/8",
        "JOBYARD_DEFINITIONS": str(DEFINITIONS),
    }
    environ |= {f"JOBYARD_{name.upper()}": value for name, value in settings.items()}
    with (home.parent / "up.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "ops", "up"],
            env=environ,
            stdout=log,
            stderr=log,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
    try:
        yield Platform(home, process, eventually(lambda: _running(home, process), BEGUN))
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait(120)


def _running(home: Path, process: subprocess.Popen[bytes]) -> Status | None:
    assert process.poll() is None, (home.parent / "up.log").read_text()
    record = read_status(home)
    if record is None or not record.alive:
        return None
    ready = all(child.state == "running" for child in record.status.processes)
    return record.status if ready and len(record.status.processes) > 1 else None


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    folder = tmp_path_factory.mktemp("platform")
    _open_to_servers(folder)
    with platform(folder / "home") as running:
        yield running
        running.client.close()


def _open_to_servers(folder: Path) -> None:
    """As root the servers' account must pass through the folders that pytest made, and closed."""
    for parent in (folder, *folder.parents[:2]):
        if parent.name.startswith("pytest"):
            parent.chmod(0o711)


@pytest.fixture(scope="module")
def site() -> Iterator[SlowSite]:
    with SlowSite(PAGES) as running:
        yield running


def test_a_page_is_fetched_and_its_body_can_be_downloaded(up: Platform, site: SlowSite) -> None:
    job = up.client.run("web.fetch", {"url": f"{site.url}/pages/2"}, PATIENCE)
    assert job.state == "succeeded"
    assert job.result["status"] == 200
    assert [entry.outcome for entry in job.history] == ["succeeded"]
    assert up.client.artifact(job.id, "body") == PAGES[2]


@pytest.mark.parametrize(
    ("program", "script"), [("sh", "curl.sh"), ("node", "fetch.mjs")], ids=["curl", "JavaScript"]
)
def test_any_http_client_submits_waits_and_downloads(
    up: Platform, site: SlowSite, program: str, script: str
) -> None:
    for needed in {program, Path(script).stem} - {"fetch"}:
        if shutil.which(needed) is None:
            pytest.skip(f"there is no {needed} here")
    key = Path(up.status.key_file).read_text().strip()
    run = subprocess.run(
        [program, str(CLIENTS / script), up.status.urls.api, key, f"{site.url}/pages/2"],
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert (run.returncode, run.stdout) == (0, PAGES[2]), run.stderr


def test_the_python_client_does_so_too(up: Platform, site: SlowSite, tmp_path: Path) -> None:
    job = up.client.submit("web.fetch", {"url": f"{site.url}/pages/2"})
    assert up.client.wait(job.id, PATIENCE).state == "succeeded"
    up.client.download(job.id, "body", tmp_path / "page")
    assert (tmp_path / "page").read_bytes() == PAGES[2]


def test_fetch_load_report_and_mail_are_one_request(up: Platform) -> None:
    with SlowSite([], {"/weather.csv": WEATHER}) as site:
        scenes = list(Pipeline(up.client, site, WEATHER, up.home).scenes())
    assert [scene for scene in scenes if not scene.good] == []
    assert len(scenes) == 6


def test_what_comes_after_a_failure_fails_and_says_why(up: Platform, site: SlowSite) -> None:
    missing = {"url": f"{site.url}/pages/2", "expected_statuses": [404]}
    body = {"$from": "fetch", "result": "/url"}
    batch = up.client.batch(
        [
            {"name": "fetch", "kind": "web.fetch", "payload": missing},
            {"name": "next", "kind": "web.fetch", "payload": {"url": body}, "after": ["fetch"]},
            {"name": "last", "kind": "web.fetch", "payload": {"url": f"{site.url}/"}, "after": ["next"]},
        ]
    )
    assert up.client.wait_batch(batch.id, PATIENCE).counts == {"failed": 3}
    first, then, last = (up.client.job(id_) for id_ in batch.job_ids)
    assert then.error
    assert last.error
    assert then.error.type == last.error.type == "DependencyFailed"
    assert first.id in then.error.message
    assert then.id in last.error.message


def test_the_request_id_of_a_submission_is_in_the_workers_lines(up: Platform, site: SlowSite) -> None:
    job = up.client.run("web.fetch", {"url": f"{site.url}/pages/2"}, PATIENCE)

    def of_worker() -> set[str]:
        lines = _lines(up.home / "logs" / "worker-web.jsonl")
        return {line["request_id"] for line in lines if line.get("job") == job.id}

    def of_api() -> set[str | None]:
        return {line.get("request_id") for line in _lines(up.home / "logs" / "api.jsonl")}

    eventually(of_worker)
    eventually(lambda: of_worker() <= of_api())


def test_a_key_never_reaches_a_log(up: Platform) -> None:
    key = Path(up.status.key_file).read_text().strip()
    for log in (up.home / "logs").iterdir():
        assert key not in log.read_text(errors="replace"), log


def test_operators_see_workers_and_tasks_in_flower_behind_a_login(up: Platform, site: SlowSite) -> None:
    job = up.client.run("web.fetch", {"url": f"{site.url}/pages/2?token=hidden"}, PATIENCE)
    base, login = _without_login(up.status.urls.flower)
    for path in ("/workers", "/api/workers"):  # a browser sends the login again where the realm is the same
        refused = urllib3.request("GET", base + path, retries=False)
        assert (refused.status, refused.headers["WWW-Authenticate"]) == (401, 'Basic realm="flower"')
    all_workers = {"email", "web", "report", "database", "webhook", "upkeep"}

    def workers() -> set[str]:
        """Those that were quick enough with their answers."""
        return {name.partition("@")[0] for name in _flower(base, login, "/api/workers?refresh=1") or ()}

    def ended() -> Any:
        """The task, once the event of its end was heard."""
        shown = _flower(base, login, f"/api/task/info/{job.id}")
        return shown if shown and shown["state"] not in {"RECEIVED", "STARTED"} else None

    eventually(lambda: workers() == all_workers)
    task = eventually(ended)
    assert task["name"] == "web.fetch"
    assert task["state"] == "SUCCESS"
    assert f"{site.url}/pages/…" in task["args"]
    assert "hidden" not in json.dumps(task)


def test_a_job_whose_worker_is_killed_is_finished_by_another_run(up: Platform, site: SlowSite) -> None:
    before = site.visits["/endless"]
    job = up.client.submit("web.fetch", {"url": f"{site.url}/endless", "timeout": 60})
    eventually(lambda: site.visits["/endless"] > before)
    killed = up.pid("worker-web")
    assert killed is not None
    os.kill(killed, signal.SIGKILL)
    began = time.monotonic()
    # It runs again: the second visit. Then it is cancelled, for the page has no end.
    eventually(lambda: site.visits["/endless"] > before + 1, 15)
    assert time.monotonic() - began < 15
    up.client.cancel(job.id)
    ended = up.client.wait(job.id, PATIENCE)
    assert [entry.outcome for entry in ended.history if entry.event == "attempt"] == [*("lost", "cancelled")]


def test_jobs_whose_messages_the_broker_forgot_are_all_finished(up: Platform, site: SlowSite) -> None:
    def submit(_: int) -> str:
        return up.client.submit("web.fetch", {"url": f"{site.url}/pages/0"}).id

    with ThreadPoolExecutor(32) as pool:
        submitting = [pool.submit(submit, number) for number in range(1000)]
        with redis.Redis.from_url(up.status.urls.broker) as broker:
            for accepted in (300, 600, 900):
                eventually(lambda done=accepted: sum(f.done() for f in submitting) >= done, 60)
                broker.flushall()
        ids = [future.result() for future in submitting]
        states = Counter(job.state for job in pool.map(lambda job: up.client.wait(job, 90), ids))
    assert states == {"succeeded": 1000}


def test_status_tells_programs_where_everything_is(up: Platform) -> None:
    shown = json.loads(command(up.home, "status", "--json").stdout)
    assert set(shown["urls"]) == {"api", "flower", "database", "broker", "smtp", "sources"}
    assert all("@" in shown["urls"][name] for name in ("flower", "database", "broker"))
    assert set(shown["urls"]["sources"]) == {"warehouse"}
    roles = Counter(process["role"] for process in shown["processes"])
    assert roles["worker"] == 6
    assert roles["api"] == roles["beat"] == roles["flower"] == roles["mail"] == 1
    assert Path(shown["key_file"]).stat().st_mode & 0o077 == 0
    assert (up.home / "status.json").stat().st_mode & 0o077 == 0


def test_status_shows_people_where_mails_and_loaded_data_go(up: Platform) -> None:
    shown = command(up.home, "status").stdout.splitlines()
    assert f"smtp: {up.status.urls.smtp}" in shown
    assert f"source warehouse: {up.status.urls.sources['warehouse']}" in shown


def test_a_mail_that_was_sent_to_the_platform_is_listed_and_can_be_read(up: Platform) -> None:
    server = urllib3.util.parse_url(up.status.urls.smtp or "")
    with smtplib.SMTP(server.host or "", server.port or 0) as client:
        mail = "From: me@example.org\r\nTo: to@example.org\r\nSubject: read me\r\n\r\nHello!\r\n"
        client.sendmail("me@example.org", ["to@example.org", "hidden@example.org"], mail)
    listed = json.loads(command(up.home, "mail", "--json").stdout)
    (mail_id,) = (found["id"] for found in listed if found["subject"] == "read me")
    table = command(up.home, "mail")
    assert mail_id in table.stdout
    assert "JOBYARD_SMTP_URL" not in table.stderr
    shown = command(up.home, "mail", "show", mail_id).stdout
    assert "Envelope: me@example.org to to@example.org, hidden@example.org" in shown
    assert shown.endswith("\nHello!\n")


def test_commands_find_the_mail_server_and_the_data_sources_of_the_platform(
    up: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in os.environ if name.startswith("JOBYARD_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("JOBYARD_HOME", str(up.home))
    monkeypatch.setenv("JOBYARD_SOURCE_OWN_URL", "postgresql://own.invalid/data")
    found = found_settings()
    assert found.smtp_url == up.status.urls.smtp
    assert found.sources == {**up.status.urls.sources, "own": "postgresql://own.invalid/data"}


def test_a_second_platform_in_the_same_folder_is_refused(up: Platform) -> None:
    second = command(up.home, "up")
    assert second.returncode != 0
    assert str(up.process.pid) in second.stderr
    assert "running" in second.stderr


def test_the_doctor_finds_a_running_platform_well(up: Platform) -> None:
    eventually(lambda: command(up.home, "doctor").returncode == 0)


def test_clients_get_keys_that_can_be_revoked(up: Platform) -> None:
    assert command(up.home, "clients", "add", "another").returncode == 0
    key = command(up.home, "keys", "add", "another").stdout.strip()
    with Client(up.status.urls.api, key) as another:
        assert list(another.jobs(10)) == []  # and sees nothing of the first client's
    listed = command(up.home, "keys", "list", "another").stdout
    key_id = listed.splitlines()[1].split()[0]
    assert command(up.home, "keys", "revoke", key_id).returncode == 0
    headers = {"Authorization": f"Bearer {key}"}
    eventually(lambda: urllib3.request("GET", f"{up.status.urls.api}/v1/jobs", headers=headers).status == 401)


def test_metrics_of_every_process_can_be_scraped(up: Platform, site: SlowSite) -> None:
    up.client.run("web.fetch", {"url": f"{site.url}/pages/2"}, PATIENCE)
    record = read_status(up.home)
    assert record is not None
    ports = {child.name: child.metrics_port for child in record.status.processes if child.metrics_port}
    assert {"api", "worker-web", "worker-upkeep", "beat"} <= set(ports)
    pages = {name: _scrape(port) for name, port in ports.items()}
    counted = 'jobyard_attempts_total{kind="web.fetch",state="succeeded"}'
    assert pages.keys() == ports.keys()
    eventually(lambda: counted in _scrape(ports["worker-web"]))  # behind the commit that the client sees


def test_sigterm_leaves_no_process_behind_and_a_killed_supervisor_is_recovered_from(tmp_path: Path) -> None:
    _open_to_servers(tmp_path)
    home = tmp_path / "home"
    with platform(home) as first:
        left = psutil.Process(first.process.pid).children(recursive=True)
        first.process.kill()
        first.process.wait()
    with platform(home) as second:
        assert not any(map(_lives, left))
        everything = psutil.Process(second.process.pid).children(recursive=True)
        assert len(everything) > 10
        second.process.terminate()
        assert second.process.wait(120) == 0
        assert not any(map(_lives, everything))
    assert command(home, "status").returncode == 1


def _lives(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _lines(path: Path) -> list[dict[str, Any]]:
    return [msgspec.json.decode(line) for line in path.read_bytes().splitlines()]


def _without_login(url: str) -> tuple[str, dict[str, str]]:
    parsed = urllib3.util.parse_url(url)
    headers = urllib3.make_headers(basic_auth=parsed.auth)
    return f"http://{parsed.host}:{parsed.port}", dict(headers)


def _flower(base: str, login: dict[str, str], path: str) -> Any:
    answer = urllib3.request("GET", base + path, headers=login, retries=False)
    return answer.json() if answer.status == 200 else None


def _scrape(port: int) -> str:
    return urllib3.request("GET", f"http://127.0.0.1:{port}/metrics").data.decode()
