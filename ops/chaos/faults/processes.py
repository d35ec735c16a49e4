"""Processes of the platform are killed, stopped for a while, or asked to leave."""

import signal
from collections.abc import Iterator
from random import Random

import psutil

from ops.chaos.crew import children, send
from ops.chaos.faults.fault import Harm, Lane, Missed, fault
from ops.chaos.rig import SECOND_BEAT, Rig

_LONGER_THAN_A_LEASE = (9.0, 13.0)  # seconds
_THROUGH_OUTAGES = 300.0  # seconds that a platform gets to come up while the ledger goes away now and then


@fault(Lane.PROCESSES, weight=5)
def pool_child_killed(rig: Rig, dice: Random) -> Iterator[Harm]:
    """SIGKILL a child of a prefork pool."""
    name = dice.choice(rig.crew.prefork)
    child = dice.choice(_found(children(_main(rig, name))))
    yield Harm(name, killed=send([child], signal.SIGKILL))


@fault(Lane.PROCESSES, weight=5)
def worker_killed(rig: Rig, dice: Random) -> Iterator[Harm]:
    """SIGKILL a worker's main process; its children die with it."""
    name = dice.choice(rig.crew.workers)
    yield Harm(name, killed=_killed(rig, name))


@fault(Lane.PROCESSES)
def all_workers_killed(rig: Rig, _dice: Random) -> Iterator[Harm]:
    """SIGKILL all workers at once."""
    families = _found([process for name in rig.crew.workers for process in rig.crew.family(name)])
    yield Harm("all workers", killed=send(families, signal.SIGKILL))


@fault(Lane.PROCESSES, weight=4)
def api_process_killed(rig: Rig, dice: Random) -> Iterator[Harm]:
    """SIGKILL a process of the API."""
    child = dice.choice(_found(children(_main(rig, "api"))))
    yield Harm("api", killed=send([child], signal.SIGKILL))


@fault(Lane.PROCESSES, weight=2)
def api_killed(rig: Rig, _dice: Random) -> Iterator[Harm]:
    """SIGKILL the API's master."""
    yield Harm("api", killed=_killed(rig, "api"))


@fault(Lane.PROCESSES, weight=3)
def beat_killed(rig: Rig, dice: Random) -> Iterator[Harm]:
    """SIGKILL one of the two beats."""
    name = dice.choice(("beat", SECOND_BEAT))
    yield Harm(name, killed=_killed(rig, name))


@fault(Lane.PROCESSES)
def flower_killed(rig: Rig, _dice: Random) -> Iterator[Harm]:
    """SIGKILL Flower."""
    yield Harm("flower", killed=_killed(rig, "flower"))


@fault(Lane.PROCESSES)
def supervisor_killed(rig: Rig, _dice: Random) -> Iterator[Harm]:
    """SIGKILL the supervisor; the next one stops the processes that were left, and starts them anew."""
    beside = {process.pid for name in rig.crew.beside for process in rig.crew.family(name)}
    everybody = [process.pid for process in rig.crew.everybody() if process.pid not in beside]
    rig.supervisor.kill()
    yield Harm("supervisor", killed=tuple(everybody))
    rig.settle(_THROUGH_OUTAGES)


@fault(Lane.PROCESSES, weight=4)
def role_restarted(rig: Rig, dice: Random) -> Iterator[Harm]:
    """SIGTERM to one role: a rolling restart."""
    name = dice.choice((*rig.crew.workers, "api", "beat", "flower"))
    main = _main(rig, name)
    if main.pid in rig.leaving:  # asked again while Python takes itself apart, it dies of the signal
        raise Missed(name)
    asked = send([main], signal.SIGTERM)
    rig.leaving.update(asked)
    yield Harm(name, asked=asked)


@fault(Lane.PROCESSES, lasts=_LONGER_THAN_A_LEASE, weight=2)
def worker_stopped(rig: Rig, dice: Random) -> Iterator[Harm]:
    """SIGSTOP a worker with its children for longer than its lease, then SIGCONT."""
    name = dice.choice(rig.crew.workers)
    family = _found(rig.crew.family(name))
    yield Harm(name, stopped=send(family, signal.SIGSTOP))
    send(family, signal.SIGCONT)


@fault(Lane.PROCESSES, lasts=_LONGER_THAN_A_LEASE)
def worker_main_stopped(rig: Rig, dice: Random) -> Iterator[Harm]:
    """SIGSTOP the main process of a prefork worker, which keeps the lease; the children go on."""
    name = dice.choice(rig.crew.prefork)
    main, *others = _found(rig.crew.family(name))
    stopped = send([main], signal.SIGSTOP)
    yield Harm(name, stopped=stopped, unrenewed=tuple(process.pid for process in others))
    send([main], signal.SIGCONT)


@fault(Lane.PROCESSES, lasts=_LONGER_THAN_A_LEASE, weight=2)
def worker_cut_off(rig: Rig, dice: Random) -> Iterator[Harm]:
    """Cut one worker's wire to the ledger for longer than its lease, or swallow what it carries."""
    name = dice.choice(sorted(rig.to_ledger_of))
    family = _found(rig.crew.family(name))
    wire = rig.to_ledger_of[name]
    dice.choice((wire.cut, wire.swallow))()
    yield Harm(name, cut_off=tuple(process.pid for process in family))
    wire.cut()  # who still waits for what was swallowed learns that it is gone
    wire.restore()


@fault(Lane.PROCESSES, lasts=_LONGER_THAN_A_LEASE)
def beat_stopped(rig: Rig, _dice: Random) -> Iterator[Harm]:
    """SIGSTOP one of the two beats, with whatever it has locked."""
    beat = _main(rig, SECOND_BEAT)
    yield Harm(SECOND_BEAT, stopped=send([beat], signal.SIGSTOP))
    send([beat], signal.SIGCONT)


@fault(Lane.PROCESSES, lasts=(2.0, 5.0))
def api_process_stopped(rig: Rig, dice: Random) -> Iterator[Harm]:
    """SIGSTOP a process of the API, with the requests that it has in hand."""
    child = dice.choice(_found(children(_main(rig, "api"))))
    yield Harm("api", stopped=send([child], signal.SIGSTOP))
    send([child], signal.SIGCONT)


def _main(rig: Rig, name: str) -> psutil.Process:
    process = rig.crew.main(name)
    if process is None:
        raise Missed(name)
    return process


def _found(processes: list[psutil.Process]) -> list[psutil.Process]:
    if not processes:
        raise Missed
    return processes


def _killed(rig: Rig, name: str) -> tuple[int, ...]:
    family = _found(rig.crew.family(name))
    send(family[:1], signal.SIGKILL)
    return tuple(process.pid for process in family)
