"""What stands between us and a goal that is not met, in short; each names the record with the profile."""

CONSTANT = (
    "**A constant answer** costs 0.13 to 0.16 ms of the processor, so half of its rate leaves 0.3 ms for"
    " all of an acceptance. Gunicorn and the socket take 0.11 to 0.14 of them, PostgreSQL 0.06 to 0.11,"
    " the transaction in the API 0.05, and ten smaller things the rest: 0.58 in all, from 2.5 before"
    " submissions shared a transaction ([record 30](../decisions/0030-submissions-that-go-together.md))."
)
ONE_BY_ONE = (
    "**One by one** 1.5 times Celery's rate leaves 0.8 ms of the processor a job, and 0.78 is what"
    " PostgreSQL alone takes to claim it and to record its outcome, durably and each for itself. Of 2.5 ms"
    " on prefork (5.5 before), 1.1 are the child's (claim and outcome 0.4, log 0.11, notice 0.09, counters"
    " 0.06) and 0.55 the main process's, nearly half of that kombu's reading from Redis; threads share"
    " commits, and their 1.7 ms are bound by one interpreter. Bundles share out both commits ([record"
    " 32](../decisions/0032-what-a-drained-job-costs.md))."
)
BACKLOG = (
    "**From a backlog** a job costs 0.19 ms, and 0.04 for the start of the worker: 0.09 in the children"
    " (an attempt's lock and alarm, its counters, its result), 0.05 in the main process, half of it"
    " Flower's events, 0.05 in PostgreSQL, 0.03 for dispatch. The fastest peer keeps nothing on a disk"
    " ([record 32](../decisions/0032-what-a-drained-job-costs.md), [record"
    " 11](../decisions/0011-bundles.md))."
)
PAGES = (
    "**Pages**: the processor bounds them. A thousand take 4 to 5 s of one core, and a thousand threads"
    " that begin at once make the first thousand of a fresh worker slower than the next ([record"
    " 34](../decisions/0034-what-a-waiting-client-waits-for.md))."
)
LOAD = (
    "**A load** looks at each row by one expression (0.2 µs), so that nothing passes which COPY would"
    " read in another way, and each block of 64 KB is a savepoint and a COPY of its own, so that a bad row"
    " costs its block and a killed client is noticed: two messages to and fro and the start of a COPY for"
    " each, while one side waits ([record 37](../decisions/0037-reports-loads-and-idling.md))."
)
IDLE = (
    "**The idle platform** is 37 processes. Its processor goes to six workers (kombu asks Redis anew each"
    " second, 1.2 %), to heartbeats and the agenda of a beat in PostgreSQL (0.8 %) and that beat (0.4 %);"
    " its memory to three workers with two children each and to SQLAlchemy in every process; and until it"
    " is ready ten seconds of the processor go by on two cores, most of them imports ([record"
    " 37](../decisions/0037-reports-loads-and-idling.md))."
)
TOGETHER = (
    "**Together** the two cores are full at about 350 jobs a second, and 70 % of what the worker drains"
    " alone is 436: the open loop of clients waits for its turn, and the ledger's backlog stays flat. A"
    " job that is accepted, done and waited for costs the API 2.2 ms (0.6 to accept it, the rest to hear"
    " of its end, to read it and to answer), the worker 1.5, PostgreSQL 0.9, Valkey 0.1, and the client,"
    " which shares the machine, about 1"
    " ([record 34](../decisions/0034-what-a-waiting-client-waits-for.md))."
)
