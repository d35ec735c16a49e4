"""Drains one peer: `python drive.py PEER JOBS OUT`, in the peers' environment; OUT is for what came of it.

Its jobs are queued first; then its workers start, as its own documentation starts them; then all results are
read and judged: each job's own number, once. The time runs from the start of the first job to that of the
last, by the clock that each job returns with its number. A file beside OUT says when all are queued, another
when all are done.
"""

import importlib
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

LOOK = 0.5  # seconds between two looks
GRACE = 20.0  # seconds that a worker gets to leave
PATIENCE = 240.0  # seconds that all jobs get


def main() -> None:
    """Drain the peer that the arguments name."""
    name, jobs, out = sys.argv[1], int(sys.argv[2]), Path(sys.argv[3])
    peer = importlib.import_module(f"peer_{name}")
    peer.clear()
    handles = peer.submit(jobs)
    out.with_suffix(".queued").touch()
    workers = [start(words) for words in peer.workers(os.cpu_count() or 1)]
    try:
        await_done(peer, jobs, workers)
        out.with_suffix(".done").touch()
        results = peer.results(handles)
    finally:
        for worker in workers:
            stop(worker)
    out.write_text(json.dumps(judged(results, jobs)))


def await_done(peer: Any, jobs: int, workers: list["subprocess.Popen[bytes]"]) -> None:
    """Wait until the peer counts all as done."""
    give_up_at = time.monotonic() + PATIENCE
    while peer.done() < jobs:
        if any(worker.poll() is not None for worker in workers):
            sys.exit("a worker ended")
        if time.monotonic() > give_up_at:
            sys.exit(f"{peer.done()} of {jobs} jobs were done after {PATIENCE:g} s")
        time.sleep(LOOK)


def judged(results: list[tuple[int, float]], jobs: int) -> dict[str, float]:
    """Seconds from first to last, where every job ended once with its own number."""
    numbers = sorted(number for number, _ in results)
    if numbers != list(range(jobs)):
        sys.exit(f"{jobs} jobs gave {len(numbers)} results, {len(set(numbers))} of them different")
    moments = [moment for _, moment in results]
    return {"jobs": jobs, "seconds": max(moments) - min(moments)}


def start(words: list[str]) -> "subprocess.Popen[bytes]":
    """A worker; its programs are beside this interpreter."""
    program = Path(sys.executable).parent / words[0]  # not resolved, for it is a link out of there
    return subprocess.Popen([str(program), *words[1:]])


def stop(worker: "subprocess.Popen[bytes]") -> None:
    """Ask it to end; whoever started us ends what is left of our session."""
    worker.terminate()
    try:
        worker.wait(GRACE)
    except subprocess.TimeoutExpired:
        worker.kill()


if __name__ == "__main__":
    main()
