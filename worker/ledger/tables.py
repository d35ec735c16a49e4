"""The tables. The migrations make them; a test holds the two against each other."""

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import JSON

from worker.contract.states import State

metadata = MetaData()

_TIME = DateTime(timezone=True)
_NOW = text("now()")
_STATES = ", ".join(f"'{state}'" for state in State)
# json, not jsonb: a payload is stored as it was validated, jsonb would refuse an escaped NUL in a
# string, and nothing searches inside.
_DOCUMENT = JSON()

# One row a job. No index over all states but the one that clients list by: the others are partial, so
# that they follow the backlog and not the history.
jobs = Table(
    "jobs",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("client_id", Uuid, nullable=False),
    Column("kind", Text, nullable=False),
    Column("queue", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("priority", SmallInteger, nullable=False),
    Column("payload", _DOCUMENT),  # NULL once pruned
    Column("description", Text, nullable=False),  # of the payload, masked: what Flower shows
    Column("tags", ARRAY(Text), nullable=False, server_default=text("'{}'")),
    Column("request_id", Text),
    Column("attempt", Integer, nullable=False, server_default=text("0")),  # only grows
    Column("max_attempts", Integer, nullable=False),
    Column("losses", Integer, nullable=False, server_default=text("0")),
    Column("hand_backs", Integer, nullable=False, server_default=text("0")),
    Column("shared_losses", Integer, nullable=False, server_default=text("0")),  # since it last began anew
    Column("alone_losses", Integer, nullable=False, server_default=text("0")),  # since it last began anew
    Column("held_alone", Boolean, nullable=False, server_default=text("false")),  # the claim of now
    Column("wants_alone", Boolean, nullable=False, server_default=text("false")),  # the next claim
    Column("overran", Boolean, nullable=False, server_default=text("false")),  # its process is being killed
    Column("claim_token", Uuid),  # the fence of the last claim; NULL once it was taken away
    Column("worker_id", Uuid),
    Column("created_at", _TIME, nullable=False, server_default=_NOW),
    Column("scheduled_at", _TIME),  # when the client wants it to run
    Column("due_at", _TIME, nullable=False, server_default=_NOW),  # when scheduled and retrying end
    Column("expires_at", _TIME),
    Column("published_at", _TIME),  # NULL while the broker holds no message of it
    Column("publications", Integer, nullable=False, server_default=text("0")),
    Column("started_at", _TIME),
    Column("finished_at", _TIME),
    Column("cancel_requested_at", _TIME),
    Column("progress", _DOCUMENT),
    Column("result", _DOCUMENT),
    Column("error", _DOCUMENT),
    Column("checkpoint", _DOCUMENT),  # what its attempts told the next one
    Column("unique_key", Text),
    Column("callback", Text),  # a URL that is told of its end
    Column("batch_id", Uuid),
    Column("waits_for", Integer, nullable=False, server_default=text("0")),  # so many of them have not yet
    Column(
        "refers", Boolean, nullable=False, server_default=text("false")
    ),  # its payload names their results
    Column(
        "followed", Boolean, nullable=False, server_default=text("false")
    ),  # its end is noted in `endings`
    Column("after", ARRAY(Uuid), nullable=False, server_default=text("'{}'")),  # jobs that must succeed first
    CheckConstraint(f"state IN ({_STATES})", name="jobs_state"),
    postgresql_partition_by="RANGE (id)",
)
Index("jobs_client", jobs.c.client_id, jobs.c.id)
Index("jobs_due", jobs.c.due_at, postgresql_where=text("state IN ('scheduled', 'retrying')"))
Index(
    "jobs_unpublished",
    jobs.c.queue,
    jobs.c.wants_alone,
    jobs.c.priority.desc(),
    jobs.c.id,
    postgresql_where=text("state = 'queued' AND published_at IS NULL"),
)
Index(
    "jobs_published",
    jobs.c.queue,
    jobs.c.published_at,
    postgresql_where=text("state = 'queued' AND published_at IS NOT NULL"),
)
Index("jobs_running", jobs.c.worker_id, postgresql_where=text("state = 'running'"))
Index(
    "jobs_expiring",
    jobs.c.expires_at,
    postgresql_where=text("expires_at IS NOT NULL AND state IN ('scheduled', 'queued', 'retrying')"),
)
Index("jobs_batch", jobs.c.batch_id, jobs.c.id, postgresql_where=text("batch_id IS NOT NULL"))
_LIVE = "state IN ('scheduled', 'queued', 'running', 'retrying')"
Index("jobs_batch_live", jobs.c.batch_id, postgresql_where=text(f"batch_id IS NOT NULL AND {_LIVE}"))
# What a client lists and acts on by state; jobs that succeeded are found among all of them.
Index("jobs_client_live", jobs.c.client_id, jobs.c.id, postgresql_where=text(_LIVE))
Index(
    "jobs_client_failed",
    jobs.c.client_id,
    jobs.c.id,
    postgresql_where=text("state IN ('failed', 'cancelled')"),
)

# The ends of jobs that something follows from: a trigger of `jobs` notes them in the transaction that ends
# the job, and a beat takes them away when it has done what follows.
endings = Table(
    "endings",
    metadata,
    Column("job_id", Uuid, primary_key=True),
    Column("ended_at", _TIME, nullable=False, server_default=_NOW),
    Column("tell", Boolean, nullable=False, server_default=text("true")),  # its client was not told of it yet
)

# Which jobs wait for which; a row goes when it is met.
dependencies = Table(
    "dependencies",
    metadata,
    Column("after_id", Uuid, primary_key=True),
    Column("job_id", Uuid, primary_key=True),
)
Index("dependencies_job", dependencies.c.job_id)

# Jobs submitted together and watched as one. The counts by state are read from the jobs themselves.
batches = Table(
    "batches",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("client_id", Uuid, nullable=False),
    Column("size", Integer, nullable=False),
    Column("callback", Text),
    Column("tags", ARRAY(Text), nullable=False, server_default=text("'{}'")),
    Column("created_at", _TIME, nullable=False, server_default=_NOW),
    Column("finished_at", _TIME),  # when the last of its jobs ended, for the first time
)
Index("batches_client", batches.c.client_id, batches.c.id)
Index(
    "batches_client_open",
    batches.c.client_id,
    batches.c.id,
    postgresql_where=text("finished_at IS NULL"),
)

# Which job holds a client's unique key: until a time, and while it is in one of these states.
unique_keys = Table(
    "unique_keys",
    metadata,
    Column("client_id", Uuid, primary_key=True),
    Column("key", Text, primary_key=True),
    Column("job_id", Uuid, nullable=False),
    Column("states", ARRAY(Text), nullable=False),
    Column("until", _TIME),  # NULL: for as long as the states hold
    Column("created_at", _TIME, nullable=False, server_default=_NOW),
)
Index("unique_keys_created", unique_keys.c.created_at)

# What callbacks are signed with (Standard Webhooks); an old one signs too until it expires.
webhook_secrets = Table(
    "webhook_secrets",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("client_id", Uuid, ForeignKey("clients.id", ondelete="CASCADE"), nullable=False),
    Column("secret", LargeBinary, nullable=False),
    Column("created_at", _TIME, nullable=False, server_default=_NOW),
    Column("expires_at", _TIME),
)
Index("webhook_secrets_client", webhook_secrets.c.client_id)

# One row an attempt that ended; the one that runs is told by its job's own row.
attempts = Table(
    "attempts",
    metadata,
    Column("job_id", Uuid, primary_key=True),
    Column("attempt", Integer, primary_key=True),
    Column("outcome", Text, nullable=False),
    Column("worker", Text),
    Column("started_at", _TIME, nullable=False),
    Column("ended_at", _TIME, nullable=False, server_default=_NOW),
    Column("error", _DOCUMENT),
    postgresql_partition_by="RANGE (job_id)",
)
Index(
    "attempts_ended",
    attempts.c.ended_at,
    postgresql_using="brin",
    postgresql_with={"autosummarize": True},  # else each look at the newest reads all since the last vacuum
)

# What somebody did to a job: cancelled it, ran it again.
acts = Table(
    "acts",
    metadata,
    Column("job_id", Uuid, primary_key=True),
    Column("acted_at", _TIME, primary_key=True, server_default=_NOW),
    Column("act", Text, primary_key=True),
    Column("actor", Text, nullable=False),
    postgresql_partition_by="RANGE (job_id)",
)

# One row a worker incarnation: its lease. Jobs point at it by worker_id.
workers = Table(
    "workers",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("name", Text, nullable=False),
    Column("host", Text, nullable=False),
    Column("pid", Integer, nullable=False),
    Column("queues", ARRAY(Text), nullable=False),
    Column("started_at", _TIME, nullable=False, server_default=_NOW),
    Column("heartbeat_at", _TIME, nullable=False, server_default=_NOW),
)

queues = Table(
    "queues",
    metadata,
    Column("name", Text, primary_key=True),
    Column("paused_at", _TIME),
    Column("paused_by", Text),
)

clients = Table(
    "clients",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("name", Text, nullable=False, unique=True),
    Column("created_at", _TIME, nullable=False, server_default=_NOW),
)

api_keys = Table(
    "api_keys",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("client_id", Uuid, ForeignKey("clients.id", ondelete="CASCADE"), nullable=False),
    Column("digest", LargeBinary, nullable=False, unique=True),  # SHA-256; the key itself is nowhere
    Column("hint", Text, nullable=False),  # its first characters, to tell keys apart
    Column("label", Text, nullable=False),
    Column("created_at", _TIME, nullable=False, server_default=_NOW),
    Column("expires_at", _TIME),
    Column("revoked_at", _TIME),
    Column("kinds", ARRAY(Text)),  # patterns of the kinds that it may submit; NULL: every kind
    Column("scopes", ARRAY(Text), nullable=False, server_default=text("'{submit,read}'")),
    Column("last_used_at", _TIME),  # to the minute
)
Index("api_keys_client", api_keys.c.client_id)

# Who did what as an operator or an admin. Rows are only added: a trigger refuses every change, and a deletion
# before a month has passed.
audit = Table(
    "audit",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("acted_at", _TIME, nullable=False, server_default=_NOW),
    Column("actor", Text, nullable=False),
    Column("act", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("details", _DOCUMENT),
)
Index("audit_acted", audit.c.acted_at)

idempotency_keys = Table(
    "idempotency_keys",
    metadata,
    Column("client_id", Uuid, primary_key=True),
    Column("key", Text, primary_key=True),
    Column("fingerprint", LargeBinary, nullable=False),  # SHA-256 of the request
    Column("job_id", Uuid, nullable=False),
    Column("created_at", _TIME, nullable=False, server_default=_NOW),
)
Index("idempotency_keys_created", idempotency_keys.c.created_at)

# One row a firing. What it calls its schedule: a file by its name, a client's own by its id.
firings = Table(
    "firings",
    metadata,
    Column("schedule", Text, primary_key=True),
    Column("fire_at", _TIME, primary_key=True),
    Column("job_id", Uuid),  # NULL: it waits, or was skipped
    Column(
        "fired_at", _TIME, nullable=False, server_default=_NOW
    ),  # when its job was made, or it was skipped
    Column("skipped", Text),  # why it makes no job
    Column("by_hand", Boolean, nullable=False, server_default=text("false")),
)
Index("firings_made", firings.c.schedule, firings.c.fire_at, postgresql_where=text("job_id IS NOT NULL"))
Index(
    "firings_waiting",
    firings.c.schedule,
    firings.c.fire_at,
    postgresql_where=text("job_id IS NULL AND skipped IS NULL"),
)

Index("firings_fire_at", firings.c.fire_at)  # for pruning

# The mark that should be in the broker: one row at most.
broker_mark = Table(
    "broker_mark",
    metadata,
    Column("single", Boolean, primary_key=True, server_default=text("true")),
    Column("name", Text, nullable=False),
    Column("left_at", _TIME, nullable=False, server_default=_NOW),
    CheckConstraint("single", name="broker_mark_single"),
)

# What beats are sending to the broker at this moment: the jobs with this `published_at`.
dispatches = Table(
    "dispatches",
    metadata,
    Column("beat_id", Uuid, primary_key=True),
    Column("began_at", _TIME, nullable=False, server_default=_NOW),
    Column("lane", Text),  # which it fills; beats of the version before 0007 name none
    Index("dispatches_lane", "lane", unique=True),
)

# A row a schedule, of files and of clients alike; what a client owns ends with it.
client_schedules = Table(
    "client_schedules",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("client_id", Uuid, ForeignKey("clients.id", ondelete="CASCADE"), nullable=False),
    Column("name", Text, nullable=False),
    Column("definition", _DOCUMENT, nullable=False),
    Column("enabled", Boolean, nullable=False, server_default=text("true")),
    Column("from_file", Boolean, nullable=False, server_default=text("false")),
    Column(
        "fired_until", _TIME, nullable=False, server_default=_NOW
    ),  # every fire time up to here is settled
    Column("next_fire_at", _TIME),  # NULL: it is disabled or over
    Column("due_at", _TIME),  # when a beat looks at it next; NULL: never
    Column("created_at", _TIME, nullable=False, server_default=_NOW),
    Column("updated_at", _TIME, nullable=False, server_default=_NOW),
    UniqueConstraint("client_id", "name", name="client_schedules_name"),
)
Index("client_schedules_due", client_schedules.c.due_at, postgresql_where=text("due_at IS NOT NULL"))
Index("client_schedules_client", client_schedules.c.client_id, client_schedules.c.id)

# Of the version before 0010, whose beats note here how far they fired a file.
schedules = Table(
    "schedules",
    metadata,
    Column("name", Text, primary_key=True),
    Column("fired_until", _TIME, nullable=False),  # every fire time up to here is settled
)

artifacts = Table(
    "artifacts",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("client_id", Uuid, nullable=False),
    Column("job_id", Uuid),  # NULL: a client's own file
    Column("name", Text, nullable=False),
    Column("content_type", Text, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("sha256", Text, nullable=False),
    Column("created_at", _TIME, nullable=False, server_default=_NOW),
    UniqueConstraint("job_id", "name", name="artifacts_job_name"),
)
Index("artifacts_created", artifacts.c.created_at, postgresql_where=text("job_id IS NULL"))
Index(
    "artifacts_uploads",
    artifacts.c.client_id,
    postgresql_include=["size"],
    postgresql_where=text("job_id IS NULL"),
)
