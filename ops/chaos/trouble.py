"""Makes trouble after a plan: one thread for each lane, which strikes, waits, and mends."""

import threading
import time
import traceback
from collections.abc import Callable
from random import Random

from ops.chaos.faults import FAULTS, Harm, Missed
from ops.chaos.history import Fault, Journal
from ops.chaos.plan import Plan, Planned
from ops.chaos.rig import Rig

_END = 120.0  # seconds for the last faults to be mended


class Troublemaker:
    """Carries out a plan.

    Args:
        plan: what happens when.
        rig: to whom.
        journal: where to note it.
        on_fault: told the name and target of each.
    """

    def __init__(
        self, plan: Plan, rig: Rig, journal: Journal, on_fault: Callable[[str, str], None] = lambda *_: None
    ) -> None:
        self._rig = rig
        self._journal = journal
        self._on_fault = on_fault
        self._stopping = threading.Event()
        self._began = 0.0
        self._threads = [
            threading.Thread(target=self._run, args=(planned,), name=f"faults-{lane}")
            for lane, planned in plan.items()
        ]
        self.errors: list[str] = []  # of faults that could not be carried out: the run proves nothing
        self.missed: list[str] = []  # faults that found nothing to strike

    def start(self) -> None:
        """Begin."""
        self._began = time.monotonic()
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Mend what is broken, and strike no more."""
        self._stopping.set()
        self.wait()

    def wait(self) -> None:
        """Wait for the end of the plan."""
        for thread in self._threads:
            if thread.ident is not None:
                thread.join(_END)

    def _run(self, lane: list[Planned]) -> None:
        for planned in lane:
            if self._stopping.wait(max(0.0, self._began + planned.at - time.monotonic())):
                return
            try:
                self._carry_out(planned)
            except Missed:
                self.missed.append(planned.name)
            except Exception:  # noqa: BLE001 - one fault that fails must not spare the platform the others
                self._say_failed(planned)

    def _say_failed(self, planned: Planned) -> None:
        last = traceback.format_exc().strip().splitlines()[-1]
        self.errors.append(f"{planned.name}: {last}")
        self._on_fault(planned.name, f"could not be carried out: {last}")

    def _carry_out(self, planned: Planned) -> None:
        fault = FAULTS[planned.name]
        began, harm = time.monotonic(), None
        try:
            with fault.strike(self._rig, Random(planned.pick)) as harm:  # noqa: S311 - as the plan says
                self._on_fault(fault.name, harm.target)
                self._stopping.wait(planned.lasts)
        finally:
            if harm is not None:  # also where it could not be mended: it explains what follows
                self._note(fault.name, began, harm)

    def _note(self, name: str, began: float, harm: Harm) -> None:
        self._journal.note(
            Fault(
                at=began,
                name=name,
                target=harm.target,
                until=time.monotonic(),
                stopped=harm.stopped,
                cut_off=harm.cut_off,
                unrenewed=harm.unrenewed,
                killed=harm.killed,
                asked=harm.asked,
            )
        )
