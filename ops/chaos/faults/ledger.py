"""PostgreSQL restarts, drops its connections, has none left, freezes, or cannot be reached."""

import signal
from collections.abc import Iterator
from contextlib import ExitStack, closing
from random import Random

import psutil
import psycopg2

from ops.chaos.crew import children, send
from ops.chaos.faults.fault import Harm, Lane, fault
from ops.chaos.rig import Rig

_LEDGER = Harm("ledger")
_CUT = """
    SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
    WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()
"""
_MOST = 500  # connections; more than any limit that we set


@fault(Lane.LEDGER, lasts=(0.0, 3.0), weight=3)
def ledger_restarted(rig: Rig, _dice: Random) -> Iterator[Harm]:
    """SIGQUIT: an immediate shutdown, which the next start recovers from."""
    rig.ledger.strike(signal.SIGQUIT)
    yield _LEDGER
    rig.ledger.start()


@fault(Lane.LEDGER, weight=4)
def ledger_connections_cut(rig: Rig, _dice: Random) -> Iterator[Harm]:
    """End every session, whatever it is about."""
    rig.sql(_CUT)
    yield _LEDGER


@fault(Lane.LEDGER, lasts=(3.0, 8.0), weight=2)
def ledger_crowded(rig: Rig, _dice: Random) -> Iterator[Harm]:
    """Take every free connection, and give none back."""
    with ExitStack() as taken:
        try:
            for _ in range(_MOST):
                taken.enter_context(closing(rig.user()))
        except psycopg2.OperationalError:  # no slot is left
            pass
        yield _LEDGER


@fault(Lane.LEDGER, lasts=(1.0, 4.0), weight=2)
def ledger_frozen(rig: Rig, _dice: Random) -> Iterator[Harm]:
    """SIGSTOP every process of PostgreSQL, then SIGCONT: it hangs, and loses nothing."""
    main = psutil.Process(rig.ledger.pid)
    processes = [main, *children(main)]
    send(processes, signal.SIGSTOP)
    yield _LEDGER
    send(processes, signal.SIGCONT)


@fault(Lane.LEDGER, lasts=(9.0, 20.0))
def ledger_hangs(rig: Rig, _dice: Random) -> Iterator[Harm]:
    """Swallow what every connection to the ledger carries, for longer than a lease; then cut them all."""
    rig.to_ledger.swallow()
    yield _LEDGER
    rig.to_ledger.cut()
    rig.to_ledger.restore()


@fault(Lane.LEDGER, lasts=(11.0, 60.0))
def ledger_away(rig: Rig, _dice: Random) -> Iterator[Harm]:
    """Cut every connection to the ledger and refuse new ones, for longer than any patience."""
    rig.to_ledger.cut()
    yield _LEDGER
    rig.to_ledger.restore()
