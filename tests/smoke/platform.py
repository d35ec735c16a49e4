"""A small platform: a ledger, a broker of its own, dispatch, and the workers that a test starts on it."""

import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

from celery import Celery
from pytest_celery import CeleryTestBroker  # type: ignore[import-untyped]  # it has none
from sqlalchemy import make_url

from ops.embedded.account import server_account
from ops.embedded.home import Home
from ops.embedded.ports import free_ports
from ops.embedded.program import Command
from ops.embedded.valkey import ValkeyServer
from tests.smoke import grace as graces
from tests.smoke.client import Client
from tests.smoke.dispatcher import Dispatcher
from tests.smoke.process import Process, WorkerNode
from worker.contract.queues import Pool
from worker.ledger.engines import Ledger
from worker.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
QUEUE_OF: dict[Pool, str] = {"prefork": "report", "threads": "email", "gevent": "web"}
CONCURRENCY: dict[Pool, int] = {"prefork": 2, "threads": 8, "gevent": 50}


@dataclass
class Platform:
    """What stands, and where."""

    settings: Settings
    folder: Path
    broker: CeleryTestBroker
    app: Celery  # a bare one, for remote control
    client: Client
    workers: list[WorkerNode] = field(default_factory=list)  # all that were started
    _names: Iterator[int] = field(default_factory=lambda: count(1))

    @contextmanager
    def worker(
        self,
        pool: Pool,
        queue: str = "",
        *,
        concurrency: int = 0,
        prefetch: int | None = None,
        grace: float | None = None,
        settings: dict[str, str] | None = None,
    ) -> Iterator[WorkerNode]:
        """A worker that starts now; `ready()` waits for it."""
        name = f"{pool}{next(self._names)}@smoke"
        arguments = (
            *("-m", "celery", "-A", "tests.smoke.app", "worker", "-n", name),
            *("-P", pool, "-c", str(concurrency or CONCURRENCY[pool]), "-Q", queue or QUEUE_OF[pool]),
            *("--without-mingle", "--without-gossip"),
            *(() if prefetch is None else ("--prefetch-multiplier", str(prefetch))),
        )
        env = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(ROOT),
            **self.settings.environment(),
            **(settings or {}),
            **({} if grace is None else {graces.VARIABLE: str(grace)}),
        }
        node = WorkerNode(
            Process(
                name,
                lambda: Command((sys.executable, *arguments), env, cwd=str(ROOT)),
                self.folder / f"{name}.log",
                is_ready=lambda log: "worker_ready" in log,
            ),
            self.app,
        )
        self.workers.append(node)
        node.container.start()
        try:
            yield node
        finally:
            node.teardown()

    def gate(self) -> Path:
        """A file for a probe to wait for; `touch` opens the gate."""
        return self.folder / f"gate-{next(self._names)}"

    def log_lines(self) -> str:
        """The JSON lines of all workers."""
        folder = self.settings.home_path / "logs"
        return "".join(path.read_text("utf-8") for path in folder.glob("worker-*.jsonl"))


@contextmanager
def running(
    database_url: str, folder: Path, lease: float, broker: CeleryTestBroker | None = None
) -> Iterator[Platform]:
    """Bring a platform up, without workers; on a Valkey of its own where no broker is given."""
    with ExitStack() as stack:
        if broker is None:
            broker = _broker(folder)
            stack.callback(broker.teardown)
            broker.ready()
        settings = Settings(
            home=str(folder / "home"),
            database_url=database_url,
            broker_url=broker.config()["url"],
            lease=lease,
            heartbeat=0.5,
            beat_tick=0.1,
            log_level="DEBUG",
        )
        ledger = Ledger.open(settings, "smoke")
        stack.callback(ledger.close)
        client = Client(ledger, broker.config()["url"])
        stack.callback(client.close)
        dispatcher = Dispatcher(settings, ledger)
        dispatcher.start()
        stack.callback(dispatcher.stop)
        app = Celery("smoke", broker=broker.config()["url"], set_as_current=False)
        stack.callback(app.close)
        yield Platform(settings, folder, broker, app, client)


def _broker(folder: Path) -> CeleryTestBroker:
    user = Settings().server_user
    home = Home(folder / "broker")
    home.create(server_account(user).gid)
    server = ValkeyServer(home, user, free_ports(1)[0])
    node = CeleryTestBroker(
        Process(
            "broker",
            server.command,
            folder / "broker.log",
            is_ready=lambda _log: server.ready(0.0),
            celeryconfig={"url": server.url, "host_url": server.url},
        )
    )
    node.container.start()
    return node


def port_of(url: str) -> int:
    """The port of an URL."""
    port = make_url(url).port
    assert port is not None
    return port


def through(url: str, port: int) -> str:
    """The URL of the same server, reached at another port."""
    return make_url(url).set(port=port).render_as_string(hide_password=False)
