"""A breath between two pieces of work, in which the other requests of a process have their turn."""

import gevent

_TURN = 1e-9  # seconds: over at once; for 0 gevent would look at sockets and clocks every fiftieth time alone


def breathe() -> None:
    """Let go of the process for a moment, under gevent."""
    gevent.sleep(_TURN)
