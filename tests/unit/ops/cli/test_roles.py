import resource

import pytest
from click.testing import CliRunner

from ops.cli import main
from worker.contract.queues import WEB

SERVERS = {
    "JOBYARD_DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none",
    "JOBYARD_BROKER_URL": "redis://127.0.0.1:1",
}


def became(monkeypatch: pytest.MonkeyPatch, *words: str, **settings: str) -> list[str]:
    """The command line that a role would become."""
    seen: list[str] = []
    monkeypatch.setattr("ops.cli.roles.os.execve", lambda _path, argv, _environ: seen.extend(argv))
    # This process goes on: its logs are not a role's.
    monkeypatch.setattr("worker.logs.set_up", lambda *_args, **_kwargs: None)
    result = CliRunner().invoke(main, words, env={**SERVERS, **settings})
    assert result.exit_code == 0, result.output
    return seen


def test_a_worker_runs_its_queue_as_the_table_says(monkeypatch: pytest.MonkeyPatch) -> None:
    words = became(monkeypatch, "worker", "web")
    assert words[words.index("--pool") + 1] == "threads"
    assert words[words.index("--queues") + 1] == "web"


@pytest.mark.parametrize(
    ("hard", "enough"), [(1_000_000, True), (resource.RLIM_INFINITY, True), (2048, False)]
)
def test_a_worker_of_many_slots_may_have_files_for_all_of_them(
    monkeypatch: pytest.MonkeyPatch, hard: int, *, enough: bool
) -> None:
    limits: list[tuple[int, int]] = []
    monkeypatch.setattr(resource, "getrlimit", lambda _which: (1024, hard))
    monkeypatch.setattr(resource, "setrlimit", lambda _which, both: limits.append(both))
    became(monkeypatch, "worker", "web")
    ((soft, kept),) = limits
    assert kept == hard
    assert soft > 2 * WEB.concurrency if enough else soft == hard


def test_a_worker_that_may_have_more_files_keeps_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _which: (resource.RLIM_INFINITY,) * 2)
    monkeypatch.setattr(resource, "setrlimit", lambda *_: pytest.fail("nothing is to be changed"))
    became(monkeypatch, "worker", "web")


def test_a_setting_changes_the_pool(monkeypatch: pytest.MonkeyPatch) -> None:
    words = became(monkeypatch, "worker", "report", JOBYARD_WORKER_POOL="threads")
    assert words[words.index("--pool") + 1] == "threads"


def test_jobs_that_must_run_alone_have_processes_whatever_the_setting(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    words = became(monkeypatch, "worker", "upkeep", "isolation", JOBYARD_WORKER_POOL="threads")
    assert words[words.index("--pool") + 1] == "prefork"


def test_workers_of_one_queue_on_one_machine_have_names_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """RabbitMQ gives the control queue of a name to one worker alone, and the next one could not start."""
    names = []
    for pid in (17, 18):
        monkeypatch.setattr("ops.cli.roles.os.getpid", lambda pid=pid: pid)
        words = became(monkeypatch, "worker", "web", "email")
        names.append(words[words.index("--hostname") + 1])
    assert names == ["web@%h-17", "web@%h-18"]


@pytest.mark.parametrize("what", ["--purge-offline-workers=", "--max-tasks="])
def test_flower_forgets_workers_that_are_gone_and_old_tasks(
    monkeypatch: pytest.MonkeyPatch, tmp_path: object, what: str
) -> None:
    words = became(monkeypatch, "flower", JOBYARD_FLOWER_PASSWORD="s3cret", JOBYARD_HOME=str(tmp_path))
    assert any(word.startswith(what) for word in words)


@pytest.mark.parametrize("words", [("web", "isolation"), ("upkeep", "isolation", "--pool", "gevent")])
def test_a_shared_process_for_jobs_that_must_run_alone_is_refused(words: tuple[str, ...]) -> None:
    result = CliRunner().invoke(main, ["worker", *words], env=SERVERS)
    assert result.exit_code == 1
    assert "isolation needs a worker with --pool prefork" in result.output


def test_no_login_stands_on_flowers_command_line(monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> None:
    words = became(monkeypatch, "flower", JOBYARD_FLOWER_PASSWORD="s3cret", JOBYARD_HOME=str(tmp_path))
    assert not any("s3cret" in word for word in words)


def test_flower_without_a_password_is_refused() -> None:
    result = CliRunner().invoke(main, ["flower"], env=SERVERS)
    assert result.exit_code == 1
    assert "JOBYARD_FLOWER_PASSWORD" in result.output


def test_a_role_without_servers_says_what_to_set() -> None:
    result = CliRunner().invoke(main, ["worker", "web"], env={})
    assert result.exit_code == 1
    assert "JOBYARD_DATABASE_URL" in result.output
