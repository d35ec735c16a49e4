"""The combiner: claims and outcomes that wait at the same moment go to the ledger as one statement.

While one is in flight, the next gathers. What cannot be written together steps aside and is tried in ever
smaller parts on a second thread, so that one row which somebody else holds, or one result that takes the
ledger too long, holds up nobody but itself.
"""

import contextlib
import queue
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future

from loguru import logger

from worker.runtime.bookkeeping import Answers, Batch, Blocked, LedgerLine, Stopped, together

_LARGEST_BATCH = 200  # jobs
_HEAVIEST_BATCH = 8 * 1024 * 1024  # bytes; an entry that has more goes alone
_PATIENCE = 1.0  # seconds that many wait for a row which somebody else holds
_PATIENCE_ASIDE = 0.2  # the same, of those who waited before
_PAUSE = 0.05  # seconds after a vain try of these


class Combiner:
    """Serves the threads of one process."""

    def __init__(self, line: LedgerLine) -> None:
        self._line = line
        self._waiting: queue.SimpleQueue[_Entry] = queue.SimpleQueue()
        self._aside: queue.SimpleQueue[list[_Entry]] = queue.SimpleQueue()
        for name, run in (("combiner", self._run), ("combiner-aside", self._run_aside)):
            threading.Thread(target=run, name=name, daemon=True).start()

    def write(self, batch: Batch) -> Answers:
        """Write a batch together with what else waits."""
        entry = _Entry(batch)
        self._waiting.put(entry)
        return entry.answer.result()

    def _run(self) -> None:
        while True:
            self._serve(self._gather(), _PATIENCE, self._step_aside)

    def _run_aside(self) -> None:
        while True:
            self._serve(self._aside.get(), _PATIENCE_ASIDE, self._set_apart)

    def _gather(self) -> list["_Entry"]:
        entries = [self._waiting.get()]
        seen, weight = set(entries[0].job_ids), entries[0].weight
        with contextlib.suppress(queue.Empty):
            while len(seen) < _LARGEST_BATCH:
                entry = self._waiting.get_nowait()
                weight += entry.weight
                # One statement cannot say two things of one job.
                if entry.job_ids & seen or weight > _HEAVIEST_BATCH:
                    self._waiting.put(entry)
                    break
                seen |= entry.job_ids
                entries.append(entry)
        return entries

    def _serve(self, entries: list["_Entry"], patience: float, blocked: "_Blocked") -> None:
        try:
            answers = self._line.write_whole(together([entry.batch for entry in entries]), patience)
        except Blocked:
            blocked(entries)
        except Exception as error:  # noqa: BLE001 - whatever one entry brings, this thread serves the others
            if len(entries) > 1 and not isinstance(error, Stopped):
                # One of them cannot be written: find it, and let the others pass.
                for entry in entries:
                    self._serve([entry], patience, blocked)
                return
            for entry in entries:
                entry.answer.set_exception(error)
        else:
            for entry in entries:
                entry.answer.set_result(answers)

    def _step_aside(self, entries: list["_Entry"]) -> None:
        logger.warning("ledger_blocked", entries=len(entries))
        self._aside.put(entries)

    def _set_apart(self, entries: list["_Entry"]) -> None:
        """Try what was blocked again, behind what else stepped aside: in halves, where there are any."""
        parts = entries if len(entries) > 1 else entries[0].halves()
        time.sleep(_PAUSE)
        middle = len(parts) // 2
        for half in (parts[:middle], parts[middle:]):
            if half:
                self._aside.put(half)


_Blocked = Callable[[list["_Entry"]], None]


class _Entry:
    """A batch of one thread, and the answer that it waits for."""

    def __init__(self, batch: Batch) -> None:
        self.batch = batch
        self.job_ids = batch.job_ids()
        self.weight = batch.weight()
        self.answer: Future[Answers] = Future()

    def halves(self) -> list["_Entry"]:
        """Entries whose answers make this one's; itself, where it speaks of one job."""
        batches = self.batch.halves()
        if len(batches) == 1:
            return [self]
        parts = [_Entry(batch) for batch in batches]
        for part in parts:
            part.answer.add_done_callback(lambda _: self._join(parts))
        return parts

    def _join(self, parts: Sequence["_Entry"]) -> None:
        """Answer, once all parts are answered; they are, one by one, on the thread of what stepped aside."""
        if all(part.answer.done() for part in parts):
            try:
                first, second = (part.answer.result() for part in parts)
            except Exception as error:  # noqa: BLE001 - whoever waits for the answer raises it
                self.answer.set_exception(error)
            else:
                self.answer.set_result(first | second)
