"""The brokers that a platform under test may have."""

from enum import StrEnum

from ops.chaos.rabbitmq import RabbitMQServer
from ops.embedded.home import Home
from ops.embedded.server import Server
from ops.embedded.valkey import ValkeyServer


class Carrier(StrEnum):
    """What carries the messages; its value is the word of the command line."""

    VALKEY = "valkey"
    RABBITMQ = "rabbitmq"

    def server(self, home: Home, user: str, port: int) -> Server:
        """A server of it; the arguments are those of `Server`."""
        made: dict[Carrier, type[Server]] = {
            Carrier.VALKEY: ValkeyServer,
            Carrier.RABBITMQ: RabbitMQServer,
        }
        return made[self](home, user, port)
