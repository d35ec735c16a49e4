"""The roles: which processes make a platform, and in which order they come and go."""

import math
import shutil
import signal
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from ops.embedded.home import Home
from ops.embedded.ports import answers, free_ports, is_free, is_open, listens
from ops.embedded.program import Command, ServerError, StopSignals
from ops.embedded.server import HOST
from worker.contract.queues import WORKERS
from worker.settings import PREFIX, Settings

SERVERS = frozenset({"database", "broker"})
START_ORDER: tuple[frozenset[str], ...] = (
    SERVERS,
    frozenset({"migrate", "mail"}),
    frozenset({"api", "worker", "beat", "flower"}),
)
STOP_ORDER: tuple[frozenset[str], ...] = (
    frozenset({"migrate", "api", "beat"}),  # first, what brings new work
    frozenset({"worker"}),
    frozenset({"flower", "mail"}),
    SERVERS,  # last, for the outcomes of what was still running
)

_HAND_BACK = 5.0  # seconds that a worker gets beyond its handlers' grace, to hand back and leave
_API_GRACE = 35.0  # seconds: gunicorn's graceful timeout, and a little
_GRACE = 10.0  # seconds, of what holds no work
_SETTLED = 1.0  # seconds after which a role that listens nowhere counts as running


@dataclass(frozen=True, kw_only=True)
class Role:
    """One process of the platform that is no server."""

    name: str
    role: str
    argv: tuple[str, ...]
    grace: float  # seconds between SIGTERM and SIGKILL
    once: bool = False  # a step that ends by itself
    address: tuple[str, int] | None = None  # it runs once it accepts connections there
    health: str | None = None  # and answers there with 200
    metrics_port: int | None = None
    multiprocess: bool = False  # its children share their metrics through a folder
    env: Mapping[str, str] = field(default_factory=dict)  # beyond what every role gets


def resolve(settings: Settings) -> Settings:
    """The settings with an absolute HOME and a free port for each that is 0, one for all roles to know.

    Raises:
        ServerError: a port that was asked for is taken.
    """
    drawn = free_ports(4)
    sink_port = 0 if settings.smtp_url else settings.mail_port
    for variable, host, port in (
        ("API_PORT", settings.api_host, settings.api_port),
        ("API_METRICS_PORT", "127.0.0.1", settings.api_metrics_port),
        ("FLOWER_PORT", settings.flower_host, settings.flower_port),
        ("MAIL_PORT", HOST, sink_port),
    ):
        if port and not is_free(port, host):
            raise ServerError(f"port {port} is taken: set {PREFIX}{variable} to another port, or to 0")
    return msgspec.structs.replace(
        settings,
        home=str(settings.home_path),
        api_port=settings.api_port or drawn[0],
        api_metrics_port=settings.api_metrics_port or drawn[1],
        flower_port=settings.flower_port or drawn[2],
        mail_port=settings.mail_port or drawn[3],
    )


def smtp_url(settings: Settings) -> str:
    """Where mails go: to the server of the settings, or to the sink.

    Args:
        settings: resolved ones.
    """
    return settings.smtp_url or f"smtp://{HOST}:{settings.mail_port}"


def role_table(settings: Settings) -> list[Role]:
    """The roles of a whole platform on one machine.

    Each worker, and beat, has a metrics port of its own: free ones or, from JOBYARD_METRICS_PORT on, one
    after the other.

    Args:
        settings: resolved ones.
    """
    alone = [*(f"worker-{name}" for name in WORKERS), "beat"]
    drawn = (
        range(settings.metrics_port, settings.metrics_port + len(alone))
        if settings.metrics_port
        else free_ports(len(alone))
    )
    metrics = dict(zip(alone, drawn, strict=True))
    env = {name: {PREFIX + "METRICS_PORT": str(port)} for name, port in metrics.items()}
    return [
        Role(
            name="migrate",
            role="migrate",
            argv=_command("migrate", "--wait", "60", "--first-key", str(Home(settings.home_path).key)),
            grace=_GRACE,
            once=True,
        ),
        *_sink(settings),
        Role(
            name="api",
            role="api",
            argv=_command("api"),
            grace=_API_GRACE + math.ceil(settings.api_drain_delay),
            address=(settings.api_host, settings.api_port),
            health="/healthz",  # the master listens before a process of its answers
            metrics_port=settings.api_metrics_port,
            multiprocess=True,
        ),
        *(
            Role(
                name=f"worker-{name}",
                role="worker",
                argv=_command("worker", *(queue.name for queue in queues)),
                grace=max(queue.grace for queue in queues) + _HAND_BACK,
                address=(settings.metrics_host, metrics[f"worker-{name}"]),
                health="/readyz",  # the port opens before it consumes
                metrics_port=metrics[f"worker-{name}"],
                multiprocess=True,
                env=env[f"worker-{name}"],
            )
            for name, queues in WORKERS.items()
        ),
        Role(
            name="beat",
            role="beat",
            argv=_command("beat"),
            grace=_GRACE,
            metrics_port=metrics["beat"],
            env=env["beat"],
        ),
        Role(
            name="flower",
            role="flower",
            argv=_command("flower"),
            grace=_GRACE,
            address=(settings.flower_host, settings.flower_port),
        ),
    ]


def _sink(settings: Settings) -> list[Role]:
    """The mail sink, where no mail server is set."""
    if settings.smtp_url is not None:
        return []
    return [
        Role(
            name="mail",
            role="mail",
            argv=_command("mail-sink"),
            grace=_GRACE,
            address=(HOST, settings.mail_port),
        )
    ]


class RoleProgram:
    """A role as something to start: a `Program`.

    Args:
        role: of the table.
        environment: the variables of every role; asked at each start, for the servers' URLs are known
            only once they answer.
        metrics: where its children share their metrics.
    """

    def __init__(self, role: Role, environment: Callable[[], Mapping[str, str]], metrics: Path) -> None:
        self.name = role.name
        self.role = role.role
        self.once = role.once
        self.metrics_port = role.metrics_port
        self.stop_signals: StopSignals = ((signal.SIGTERM, role.grace),)
        self._role = role
        self._environment = environment
        self._metrics = metrics

    def command(self) -> Command:
        """Its command line and environment, with an empty folder for its metrics."""
        env = {**self._environment(), **self._role.env}
        if self._role.multiprocess:
            shutil.rmtree(self._metrics, ignore_errors=True)  # or the dead would be counted with the living
            self._metrics.mkdir(parents=True)
            env["PROMETHEUS_MULTIPROC_DIR"] = str(self._metrics)
        return Command(self._role.argv, env)

    def ready(self, age: float) -> bool:
        """Whether it accepts connections or, where it has no address, has lived for a moment."""
        if self._role.address is None:
            return age >= _SETTLED
        host, port = self._role.address
        if self._role.health is None:
            return is_open(port, reachable(host))
        return answers(port, reachable(host), self._role.health)

    def ensure_own(self, pid: int) -> None:
        """Refuse to take another program, which got the port before the role did, for it."""
        if self._role.address is not None and not listens(pid, self._role.address[1]):
            raise ServerError(
                f"port {self._role.address[1]} of {self.name} is taken by another program: end that one, or"
                " set another port (`jobyard settings` tells how)"
            )

    def clear(self) -> None:
        """Nothing: the children of a role die with its session."""


def reachable(host: str) -> str:
    """An address that reaches what listens there."""
    return {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}.get(host, host)  # noqa: S104 - compared


def _command(*words: str) -> tuple[str, ...]:
    return (sys.executable, "-m", "ops", *words)
