"""The embedded Valkey, which carries the messages."""

import signal
from pathlib import Path

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from ops.embedded.account import Account, entering
from ops.embedded.binaries import valkey_binary
from ops.embedded.leftovers import stop_servers
from ops.embedded.passwords import password
from ops.embedded.server import HOST, Server, require_owner
from ops.files import write_private

_FILE = "valkey.conf"
_ANSWER_SECONDS = 5

# https://valkey.io/topics/valkey.conf
_CONFIGURATION = """\
bind {host}
port {port}
requirepass {secret}
dir .
daemonize no
# Messages outlive the server: they go to the append-only file, synced every second. What that second
# may cost, the ledger publishes again.
appendonly yes
save ""
# A full broker says so, rather than drop what it was given.
maxmemory-policy noeviction
"""


class ValkeyServer(Server):
    """Valkey on loopback, with a password, in HOME/valkey."""

    name = "valkey"
    role = "broker"
    stop_signals = ((signal.SIGTERM, 15.0),)
    port_variable = "JOBYARD_BROKER_PORT"

    @property
    def url(self) -> str:
        """The broker's URL."""
        return f"redis://:{self._secret}@{HOST}:{self.port}/0"

    @property
    def folder(self) -> Path:
        """Its data."""
        return self.home.valkey

    def binary(self) -> Path:
        """The server's executable."""
        return valkey_binary()

    def clear(self) -> None:
        """Stop a server that still runs on this data folder."""
        stop_servers(self.binary().name, self.mark, self.stop_signals)

    def initialise(self, account: Account) -> Account:
        """Make the data folder."""
        if not self.folder.exists():
            self.folder.mkdir(mode=0o700)
            account.own(self.folder)
        require_owner(self.folder, account)
        return entering(account, self.binary(), self.folder)

    def arguments(self, account: Account) -> tuple[str, ...]:
        """The configuration file, written anew: its port may be another than last time."""
        text = _CONFIGURATION.format(host=HOST, port=self.port, secret=self._secret)
        write_private(self.folder / _FILE, text, account.owner)
        return (
            str(account.path(self.folder) / _FILE),
            "--proc-title-template",
            f"{{title}} {{listen-addr}} {self.mark}",
        )

    def answers(self) -> bool:
        """Ping it with our password."""
        client = redis.Redis(
            host=HOST,
            port=self.port,
            password=self._secret,
            socket_timeout=_ANSWER_SECONDS,
            retry=Retry(NoBackoff(), 0),
        )
        try:
            return bool(client.ping())
        except redis.RedisError:
            return False
        finally:
            client.close()

    @property
    def _secret(self) -> str:
        return password(self.home.secrets, "broker")
