"""The queues: one table from which the workers, the supervisor and the compose file are made."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal

import msgspec

Pool = Literal["prefork", "threads", "gevent"]
POOLS: tuple[Pool, ...] = ("prefork", "threads", "gevent")


class Queue(msgspec.Struct, frozen=True):
    """A named lane with its own pool."""

    name: str
    pool: Pool  # prefork isolates each job in a process of its own; threads share one
    concurrency: int  # jobs at once in one worker
    prefetch: int  # messages fetched ahead for each slot; 0: none, right for long work
    deadline: float  # seconds an attempt may run where its kind does not say
    grace: float  # seconds that running handlers get when the worker stops
    objective: float = 60.0  # seconds that a job should wait at most; an alert goes by it


EMAIL = Queue("email", "threads", 8, 2, deadline=60, grace=20)  # waits for mail servers
WEB = Queue("web", "threads", 1024, 1, deadline=60, grace=15)  # waits for web servers, a thousand at once
REPORT = Queue("report", "prefork", 2, 0, deadline=300, grace=30, objective=300)  # burns processor and memory
DATABASE = Queue("database", "prefork", 2, 0, deadline=300, grace=30, objective=300)  # long statements
WEBHOOK = Queue("webhook", "threads", 16, 2, deadline=30, grace=15)  # waits for clients' servers
UPKEEP = Queue("upkeep", "prefork", 2, 0, deadline=600, grace=30, objective=1800)  # the platform's own chores

# Where the broker carries a job of whatever queue that must have a process for itself, because it was lost
# with its neighbours twice; no kind names it.
ISOLATION = Queue("isolation", "prefork", 2, 0, deadline=600, grace=30)

QUEUES: Mapping[str, Queue] = MappingProxyType(
    {queue.name: queue for queue in (EMAIL, WEB, REPORT, DATABASE, WEBHOOK, UPKEEP, ISOLATION)}
)

# The workers of the embedded default and of the compose file, and which queues each consumes. The first
# queue's row says how the worker runs.
WORKERS: Mapping[str, tuple[Queue, ...]] = MappingProxyType(
    {
        "email": (EMAIL,),
        "web": (WEB,),
        "report": (REPORT,),
        "database": (DATABASE,),
        "webhook": (WEBHOOK,),
        "upkeep": (UPKEEP, ISOLATION),
    }
)
