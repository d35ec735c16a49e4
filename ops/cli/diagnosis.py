"""What is wrong, and what to do about it."""

import os
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import click
import msgspec
import redis
from rich.table import Column, Table
from sqlalchemy import text

from ops.cli.site import console, found_settings, read_settings, running
from worker.broker import Broker, BrokerDown, is_redis
from worker.contract.queues import QUEUES
from worker.ledger import migrate
from worker.ledger.engines import Ledger
from worker.settings import PREFIX, Settings, unknown_variables

_OLDEST_POSTGRESQL = 150000
_SKEW = 5.0  # seconds


class Finding(msgspec.Struct, frozen=True):
    """One thing that was looked at."""

    subject: str
    good: bool
    text: str  # what was found and, where it is bad, what to do


@click.command()
def doctor() -> None:
    """Look for what is wrong with this platform; exit status 1 where something is."""
    settings = found_settings()
    findings = list(_examine(settings))
    table = Table("", "what", "found", box=None)
    for finding in findings:
        table.add_row("[green]ok[/]" if finding.good else "[red]bad[/]", finding.subject, finding.text)
    console().print(table)
    sys.exit(0 if all(finding.good for finding in findings) else 1)


@click.command()
def settings() -> None:
    """List every setting, its variable, its value now and what it means; secrets are masked."""
    now = read_settings()
    table = Table(Column("variable", no_wrap=True), "value", "meaning", box=None)
    for name, schema in _schema()["properties"].items():
        table.add_row(PREFIX + name.upper(), _shown(name, getattr(now, name)), schema["description"])
    console().print(table)


def _schema() -> dict[str, Any]:
    schema: dict[str, Any] = msgspec.json.schema_components([Settings])[1]["Settings"]
    return schema


def _shown(name: str, value: object) -> str:
    if value is None:
        return ""
    return "***" if name.endswith(("_url", "_password", "_key")) else str(value)


def _examine(settings: Settings) -> Iterator[Finding]:
    unknown = unknown_variables(os.environ)
    yield Finding(
        "settings",
        not unknown,
        f"no such settings: {', '.join(unknown)}; `jobyard settings` lists them" if unknown else "all known",
    )
    yield from _guarded("ledger", settings.database_url, lambda: _examine_ledger(settings))
    yield from _guarded("broker", settings.broker_url, lambda: _examine_broker(settings))
    status = running(settings)
    if status is not None:
        ill = [process.name for process in status.processes if process.state != "running"]
        text_ = f"not running: {', '.join(ill)}; look into {settings.home_path}/logs" if ill else "all run"
        yield Finding("processes", not ill, text_)


def _guarded(subject: str, url: str | None, examine: Callable[[], Iterator[Finding]]) -> Iterator[Finding]:
    if url is None:
        yield Finding(subject, good=False, text="no platform runs here: `jobyard up`, or set its URL")
        return
    try:
        yield from examine()
    except Exception as error:  # noqa: BLE001 - a diagnosis reports whatever is wrong
        reason = str(getattr(error, "orig", error)).strip().splitlines()[0]
        yield Finding(subject, good=False, text=f"does not answer: {reason}")


def _examine_ledger(settings: Settings) -> Iterator[Finding]:
    ledger = Ledger.open(settings, "doctor")
    with ledger.read() as connection:
        version = int(connection.execute(text("SHOW server_version_num")).scalar_one())
        yield Finding(
            "PostgreSQL", version >= _OLDEST_POSTGRESQL, f"version {version // 10000}; 15 or newer is needed"
        )
        current, needed = migrate.pending(connection)
        advice = "" if current == needed else "; run `jobyard migrate`"
        yield Finding("migrations", current == needed, f"at {current}, needed is {needed}{advice}")
        clock = connection.execute(text("SELECT clock_timestamp()")).scalar_one()
        skew = abs((datetime.now(UTC) - clock).total_seconds())
        yield Finding("clock", skew < _SKEW, f"{skew:.1f} s from the ledger's; keep them by NTP")
        yield from _examine_queues(set(connection.execute(_CONSUMED).scalars()))
    ledger.close()


_CONSUMED = text("SELECT DISTINCT unnest(queues) FROM workers WHERE heartbeat_at > now() - interval '30 s'")


def _examine_queues(consumed: set[str]) -> Iterator[Finding]:
    idle = sorted(set(QUEUES) - consumed)
    advice = f"no worker for {', '.join(idle)}: start `jobyard worker {idle[0]}`" if idle else "all consumed"
    yield Finding("queues", not idle, advice)


def _examine_broker(settings: Settings) -> Iterator[Finding]:
    url = settings.broker_url or ""
    broker = Broker(url)
    try:
        depth = sum(broker.depths(QUEUES).values())
    except BrokerDown as error:
        yield Finding("broker", good=False, text=f"does not answer ({error}); jobs wait in the ledger")
        return
    finally:
        broker.close()
    yield Finding("broker", good=True, text=f"{depth} messages")
    if is_redis(url):
        with redis.Redis.from_url(url) as connection:
            policy = str(connection.config_get("maxmemory-policy").get("maxmemory-policy"))
        yield Finding(
            "eviction", policy == "noeviction", f"{policy}; must be noeviction, or messages vanish unseen"
        )
