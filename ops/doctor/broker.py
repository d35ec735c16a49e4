"""The broker."""

from collections.abc import Iterator

import redis

from ops.doctor.finding import Finding, guarded
from ops.doctor.ledger import NO_PLATFORM
from worker.broker import DROPPED, Broker, BrokerDown
from worker.contract.queues import QUEUES
from worker.settings import PREFIX, Settings, is_redis

_AWAY = (
    f"see that it runs where {PREFIX}BROKER_URL says (ops/runbooks/BrokerDown.md); jobs wait in the ledger"
)
_OLDEST_REDIS = (7, 2)  # that redis-py 8 supports


def examine_broker(settings: Settings) -> Iterator[Finding]:
    """See whether the broker answers, and whether it keeps what it is given."""
    url = settings.broker_url
    if url is None:
        yield Finding("broker", good=False, text=NO_PLATFORM)
    else:
        yield from guarded("broker", lambda: _examine(url), _AWAY)


def _examine(url: str) -> Iterator[Finding]:
    broker = Broker(url)
    try:
        depth = sum(broker.depths(QUEUES).values())
        dropped = 0 if is_redis(url) else broker.depths([DROPPED])[DROPPED]
    except BrokerDown as error:
        yield Finding("broker", good=False, text=f"does not answer ({error}); {_AWAY}")
        return
    finally:
        broker.close()
    yield Finding("broker", good=True, text=f"{depth} messages")
    if dropped:
        text = f"RabbitMQ gave up on {dropped} messages, kept in {DROPPED}; their jobs are published again"
        yield Finding("dropped", good=False, text=text)
    if is_redis(url):
        with redis.Redis.from_url(url) as connection:
            yield from _examine_redis(connection)


def _examine_redis(connection: redis.Redis) -> Iterator[Finding]:
    server = connection.info("server")
    version = str(server["redis_version"])
    new_enough = tuple(map(int, version.split(".")[:2])) >= _OLDEST_REDIS
    valkey = f" (Valkey {server['valkey_version']})" if "valkey_version" in server else ""
    yield Finding("Redis", new_enough, f"version {version}{valkey}; 7.2 or newer is needed, or Valkey")
    try:
        configured = {**connection.config_get("maxmemory-policy"), **connection.config_get("appendonly")}
    except redis.ResponseError:  # who rents a server may not look
        text = "may not be asked here; see that it evicts nothing (noeviction), and that it persists"
        yield Finding("eviction", good=True, text=text)
        return
    policy = str(configured.get("maxmemory-policy"))
    yield Finding(
        "eviction", policy == "noeviction", f"{policy}; must be noeviction, or messages vanish unseen"
    )
    kept = configured.get("appendonly") == "yes"
    advice = "set appendonly yes: a restart loses every message, and their jobs wait until it is noticed"
    yield Finding("persistence", kept, "messages outlive a restart" if kept else advice)
