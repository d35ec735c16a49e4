"""What the broker carries, seen from outside."""

import json
from uuid import UUID

import redis


def carried(redis_client: redis.Redis) -> list[UUID]:
    """The jobs whose messages a worker of the queue web would get, in this order."""
    found = redis_client.lrange("web\x06\x163", 0, -1)
    return [UUID(json.loads(message)["headers"]["id"]) for message in reversed(found)]
