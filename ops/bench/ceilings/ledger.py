"""The bare ledger: transactions of one INSERT each, as the platform writes a job, and nothing around them."""

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from uuid import UUID

import msgspec

from ops.bench import memory
from ops.bench.crowd import Taken
from ops.bench.ground import Ground
from ops.bench.kinds.bench.noop import noop
from worker.enqueue import Enqueuer, enqueue, submission
from worker.ledger.engines import Ledger


def insert(place: Ground, connections: int, seconds: float) -> Taken:
    """Write jobs on so many connections at once."""
    settings = msgspec.structs.replace(place.settings, database_pool_size=connections)
    ledger, client = Ledger.open(settings, "bench"), place.client
    before, began = memory.others(), time.perf_counter()
    try:
        with ThreadPoolExecutor(connections) as threads:
            lanes = [threads.submit(_lane, ledger, client, began + seconds) for _ in range(connections)]
            latencies = list(chain.from_iterable(lane.result() for lane in lanes))
    finally:
        ledger.close()
    return Taken([b""] * len(latencies), latencies, time.perf_counter() - began, memory.others() - before)


def _lane(ledger: Ledger, client: UUID, until: float) -> Sequence[float]:
    enqueuer, wish, latencies = Enqueuer({noop.name: noop}), submission(noop.name, {"number": 0}), []
    while (sent := time.perf_counter()) < until:
        job = enqueuer.prepare(wish, client, None, published=True)
        with ledger.write() as connection:
            enqueue(connection, job)
        latencies.append(time.perf_counter() - sent)
    return latencies
