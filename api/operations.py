"""What each route does, for the OpenAPI document: one entry for each method of each template.

The words only; which routes there are the app says, and a route without its entry here does not start.
"""

from collections.abc import Mapping
from types import MappingProxyType

from api import examples
from api.batch_lister import BatchQuery
from api.batching import BatchJob, BatchSubmission
from api.callbacks import BATCH_EVENTS, JOB_EVENTS
from api.operation import (
    CONTENT_LOCATION,
    IDEMPOTENCY_KEY,
    IF_NONE_MATCH,
    IF_RANGE,
    LOCATION,
    PREFER,
    RANGE,
    RETRY_AFTER,
    Operation,
)
from api.queue_reader import QueueDescription
from api.representations import AcceptedBatch, Artifact, Batch, BatchPage, Job, JobPage
from api.resources.acts import Acted, FilteredAct
from api.resources.artifacts import UploadQuery
from api.resources.audit import AuditPage, AuditQuery
from api.resources.failures import FailureList, FailureQuery
from api.resources.firings import FiringQuery
from api.resources.health import Health
from api.resources.jobs import JobQuery
from api.resources.kinds import KindList
from api.resources.queues import Purge, Purged, QueueList
from api.resources.schedules import ScheduleQuery
from api.schedule_view import FiringPage, Schedule, SchedulePage
from api.scheduling import ScheduleWish
from worker.contract import Scope
from worker.enqueue import Submission

Route = tuple[str, str]  # template, method

_NO_RIGHT = (
    "The key does not have the scope for this (`scope-missing`), or it may not submit this kind"
    " (`kind-not-allowed`); `allowed` tells what it may submit."
)
_TOO_MANY = (
    "Too many requests with this key (`rate-limited`), or too many live jobs of its client"
    " (`too-many-live-jobs`)."
)
_MORE_THAN_MAY_LIVE = "or these are more jobs than a client may have at once (`more-than-may-live`)."
_AGAIN = "What is run again keeps its id, and has no `expires_at` any more."
_NO_JOB = "This client has no such job (`no-such-job`)."
_NO_BATCH = "This client has no such batch (`no-such-batch`)."
_NO_SCHEDULE = "This client has no such schedule (`no-such-schedule`)."
_NO_QUEUE = "There is no such queue (`no-such-queue`)."
_OF_A_FILE = "A file says what it is (`schedule-of-file`)"
_NAME_HELD = "another schedule of the client has this name (`schedule-name-held`)"
_SWITCHED = "The schedule as it is now; it may have been so before."
_NO_ARTIFACT = "This client has no such artifact (`no-such-artifact`)."
_UNFIT = (
    "A field cannot be accepted or the filter is empty (`invalid-fields`), or it takes too long to look for"
    " (`list-too-slow`)"
)
_ACT_PROBLEMS = {422: f"{_UNFIT}."}
_FILE = {200: ("The file.", None), 206: ("The part that was asked for.", None), 304: ("Unchanged.", None)}
_FILE_PROBLEMS = {
    404: _NO_ARTIFACT,
    416: "The range begins behind the end.",
}

OPERATIONS: Mapping[Route, Operation] = MappingProxyType(
    {
        ("/v1/jobs", "post"): Operation(
            name="submitJob",
            summary="Submit a job",
            scope=Scope.SUBMIT,
            answers={
                200: ("No new job: the one that holds its `unique_key`.", Job),
                202: ("Accepted: it is in the ledger and will end in a final state.", Job),
            },
            sent={200: (CONTENT_LOCATION,), 202: (LOCATION,)},
            problems={
                403: _NO_RIGHT,
                409: "The job that the Idempotency-Key stands for was pruned (`idempotency-key-pruned`).",
                429: _TOO_MANY,
                422: "A field cannot be accepted (`invalid-fields`), there is no such kind"
                " (`unknown-kind`), or the Idempotency-Key came with another request"
                " (`idempotency-key-reused`).",
            },
            headers=(IDEMPOTENCY_KEY, PREFER),
            body=Submission,
            example=examples.JOB,
            shown={202: examples.ACCEPTED_JOB},
            callbacks=JOB_EVENTS,
        ),
        ("/v1/jobs", "get"): Operation(
            name="listJobs",
            summary="List one's jobs, newest first",
            scope=Scope.READ,
            answers={200: ("A page of them.", JobPage)},
            problems={422: "Too many jobs had to be looked at for this filter (`list-too-slow`)."},
            query=JobQuery,
        ),
        ("/v1/jobs/cancel", "post"): Operation(
            name="cancelJobs",
            summary="Cancel all of one's jobs that fit a filter",
            scope=Scope.SUBMIT,
            answers={200: ("How many were meant, and how many changed.", Acted)},
            problems=_ACT_PROBLEMS,
            body=FilteredAct,
        ),
        ("/v1/jobs/retry", "post"): Operation(
            name="retryJobs",
            summary="Run all of one's failed and cancelled jobs again that fit a filter",
            scope=Scope.SUBMIT,
            description=_AGAIN,
            answers={200: ("How many were meant, and how many changed.", Acted)},
            problems={
                422: f"{_UNFIT}; {_MORE_THAN_MAY_LIVE}",
                429: _TOO_MANY,
            },
            body=FilteredAct,
        ),
        ("/v1/batches", "post"): Operation(
            name="submitBatch",
            summary="Submit many jobs, all or none",
            scope=Scope.SUBMIT,
            answers={202: ("Accepted, all of them.", AcceptedBatch)},
            sent={202: (LOCATION,)},
            problems={
                403: _NO_RIGHT,
                409: "The batch that the Idempotency-Key stands for was pruned (`idempotency-key-pruned`).",
                422: "Some jobs cannot be accepted (`invalid-fields`), `errors` tells which; or the"
                " Idempotency-Key came with another request (`idempotency-key-reused`);"
                f" {_MORE_THAN_MAY_LIVE}",
                429: _TOO_MANY,
            },
            headers=(IDEMPOTENCY_KEY, PREFER),
            body=BatchSubmission,
            lines=BatchJob,
            example=examples.BATCH,
            shown={202: examples.ACCEPTED_BATCH},
            callbacks=BATCH_EVENTS,
        ),
        ("/v1/batches", "get"): Operation(
            name="listBatches",
            summary="List one's batches, newest first",
            scope=Scope.READ,
            answers={200: ("A page of them.", BatchPage)},
            problems={422: "Too many batches had to be looked at for this filter (`list-too-slow`)."},
            query=BatchQuery,
        ),
        ("/v1/batches/{batch_id}", "get"): Operation(
            name="getBatch",
            summary="Read a batch, at once or when all of its jobs have ended",
            scope=Scope.READ,
            answers={200: ("The batch.", Batch), 304: ("Unchanged.", None)},
            problems={404: _NO_BATCH},
            headers=(PREFER, IF_NONE_MATCH),
        ),
        ("/v1/batches/{batch_id}/cancel", "post"): Operation(
            name="cancelBatch",
            summary="Cancel all jobs of a batch that have not ended",
            scope=Scope.SUBMIT,
            answers={
                200: ("All of them have ended.", Batch),
                202: ("Some still run, and their workers are asked to stop.", Batch),
            },
            sent={202: (RETRY_AFTER,)},
            problems={404: _NO_BATCH},
        ),
        ("/v1/jobs/{job_id}", "get"): Operation(
            name="getJob",
            summary="Read a job, at once or when it ends",
            scope=Scope.READ,
            answers={200: ("The job.", Job), 304: ("Unchanged.", None)},
            problems={404: _NO_JOB},
            headers=(PREFER, IF_NONE_MATCH),
        ),
        ("/v1/jobs/{job_id}/cancel", "post"): Operation(
            name="cancelJob",
            summary="Cancel a job",
            scope=Scope.SUBMIT,
            answers={
                200: ("Cancelled.", Job),
                202: ("It runs, and its worker is asked to stop; it may still finish first.", Job),
            },
            sent={202: (LOCATION, RETRY_AFTER)},
            problems={404: _NO_JOB, 409: "It succeeded or failed already (`already-ended`)."},
        ),
        ("/v1/jobs/{job_id}/retry", "post"): Operation(
            name="retryJob",
            summary="Run a failed or cancelled job again",
            scope=Scope.SUBMIT,
            description=_AGAIN,
            answers={
                202: (
                    "Queued again, with one more attempt; scheduled, if it never began and must still wait.",
                    Job,
                )
            },
            sent={202: (LOCATION, RETRY_AFTER)},
            problems={
                403: _NO_RIGHT,
                404: _NO_JOB,
                409: "It is in another state (`not-failed`), its payload was pruned (`payload-pruned`), or"
                " another job holds its unique key (`unique-key-held`).",
                429: _TOO_MANY,
            },
        ),
        ("/v1/jobs/{job_id}/artifacts/{name}", "get"): Operation(
            name="downloadJobArtifact",
            summary="Download a file that a job produced",
            scope=Scope.READ,
            answers=_FILE,
            problems=_FILE_PROBLEMS,
            headers=(IF_NONE_MATCH, RANGE, IF_RANGE),
        ),
        ("/v1/artifacts", "post"): Operation(
            name="uploadArtifact",
            summary="Upload a file for a payload to name",
            scope=Scope.SUBMIT,
            description="The body is the file itself, of any type but a form's:"
            " `curl --data-binary @file -H 'Content-Type: text/csv'`. An Idempotency-Key is not heeded: what"
            " is uploaded twice is two files.",
            answers={201: ("Stored; the Content-Type of the request is kept with it.", Artifact)},
            sent={201: (LOCATION,)},
            problems={
                413: "The file is larger than one may be, or than all that a client may keep.",
                415: "The body has a content coding, or is a form with the file inside.",
                429: "Too many requests with this key (`rate-limited`), or its client keeps too many uploads"
                " (`too-many-uploads`).",
            },
            query=UploadQuery,
            body=bytes,
        ),
        ("/v1/artifacts/{artifact_id}", "get"): Operation(
            name="downloadArtifact",
            summary="Download one of one's files",
            scope=Scope.READ,
            answers=_FILE,
            problems=_FILE_PROBLEMS,
            headers=(IF_NONE_MATCH, RANGE, IF_RANGE),
        ),
        ("/v1/artifacts/{artifact_id}", "delete"): Operation(
            name="deleteArtifact",
            summary="Delete a file that was uploaded",
            scope=Scope.SUBMIT,
            description="A job that names it in its payload and has not read it yet will fail.",
            answers={204: ("Deleted.", None)},
            problems={
                404: _NO_ARTIFACT,
                409: "A job made it, and it goes with its job.",
            },
        ),
        ("/v1/schedules", "post"): Operation(
            name="createSchedule",
            summary="Save a schedule",
            description="It begins now, and fires while any good key of the client may submit its kind.",
            scope=Scope.SUBMIT,
            answers={201: ("Saved.", Schedule)},
            sent={201: (LOCATION,)},
            problems={
                403: _NO_RIGHT,
                409: "The client has a schedule of this name (`schedule-name-held`), or the one that the"
                " Idempotency-Key stands for was deleted (`idempotency-key-pruned`).",
                422: "A field cannot be accepted (`invalid-fields`), there is no such kind (`unknown-kind`),"
                " the Idempotency-Key came with another request (`idempotency-key-reused`), or the client has"
                " as many schedules as it may have (`too-many-schedules`).",
            },
            headers=(IDEMPOTENCY_KEY,),
            body=ScheduleWish,
            callbacks=JOB_EVENTS,
        ),
        ("/v1/schedules", "get"): Operation(
            name="listSchedules",
            summary="List one's schedules, newest first",
            scope=Scope.READ,
            answers={200: ("A page of them.", SchedulePage)},
            query=ScheduleQuery,
        ),
        ("/v1/schedules/{schedule_id}", "get"): Operation(
            name="getSchedule",
            summary="Read a schedule, with its next five fire times",
            scope=Scope.READ,
            answers={200: ("The schedule.", Schedule), 304: ("Unchanged.", None)},
            problems={404: _NO_SCHEDULE},
            headers=(IF_NONE_MATCH,),
        ),
        ("/v1/schedules/{schedule_id}", "put"): Operation(
            name="replaceSchedule",
            summary="Put another schedule in the place of one",
            description="It begins now; the firings of the one before stay in its history.",
            scope=Scope.SUBMIT,
            answers={200: ("Saved.", Schedule)},
            problems={
                403: _NO_RIGHT,
                404: _NO_SCHEDULE,
                409: f"{_OF_A_FILE}, or {_NAME_HELD}.",
                422: "A field cannot be accepted (`invalid-fields`), or there is no such kind"
                " (`unknown-kind`).",
            },
            body=ScheduleWish,
            callbacks=JOB_EVENTS,
        ),
        ("/v1/schedules/{schedule_id}", "delete"): Operation(
            name="deleteSchedule",
            summary="Delete a schedule; its jobs stay",
            scope=Scope.SUBMIT,
            answers={204: ("Deleted.", None)},
            problems={404: _NO_SCHEDULE, 409: f"{_OF_A_FILE}."},
        ),
        ("/v1/schedules/{schedule_id}/enable", "post"): Operation(
            name="enableSchedule",
            summary="Let a schedule fire again; what passed meanwhile is not made up",
            scope=Scope.SUBMIT,
            answers={200: (_SWITCHED, Schedule)},
            problems={403: _NO_RIGHT, 404: _NO_SCHEDULE, 422: "No fire time is to come (`invalid-fields`)."},
        ),
        ("/v1/schedules/{schedule_id}/disable", "post"): Operation(
            name="disableSchedule",
            summary="Let a schedule fire no more, until it is enabled",
            scope=Scope.SUBMIT,
            answers={200: (_SWITCHED, Schedule)},
            problems={404: _NO_SCHEDULE},
        ),
        ("/v1/schedules/{schedule_id}/run", "post"): Operation(
            name="runSchedule",
            summary="Make a job of a schedule now",
            description="Whether it is enabled or not, and whatever its overlap policy.",
            scope=Scope.SUBMIT,
            answers={202: ("Accepted.", Job)},
            sent={202: (LOCATION, RETRY_AFTER)},
            problems={
                403: _NO_RIGHT,
                404: _NO_SCHEDULE,
                409: "The job that the Idempotency-Key stands for was pruned (`idempotency-key-pruned`).",
                422: "Its job would not be accepted any more (`invalid-fields`, `unknown-kind`), or the"
                " Idempotency-Key came with another request (`idempotency-key-reused`).",
                429: _TOO_MANY,
            },
            headers=(IDEMPOTENCY_KEY,),
        ),
        ("/v1/schedules/{schedule_id}/firings", "get"): Operation(
            name="listFirings",
            summary="See what a schedule fired, newest first",
            scope=Scope.READ,
            answers={200: ("A page of its firings, with their jobs.", FiringPage)},
            problems={404: _NO_SCHEDULE},
            query=FiringQuery,
        ),
        ("/v1/kinds", "get"): Operation(
            name="listKinds",
            summary="List the kinds of jobs, with their schemas and whether this key may submit them",
            scope=Scope.READ,
            answers={200: ("All of them.", KindList), 304: ("Unchanged.", None)},
            headers=(IF_NONE_MATCH,),
        ),
        ("/v1/queues", "get"): Operation(
            name="listQueues",
            summary="See how much waits in each queue, over all clients",
            scope=Scope.OPERATE,
            answers={200: ("All of them, at most a second old.", QueueList)},
        ),
        ("/v1/queues/{queue}", "get"): Operation(
            name="getQueue",
            summary="See how much waits in a queue",
            scope=Scope.OPERATE,
            answers={200: ("The queue as it is now.", QueueDescription)},
            problems={404: _NO_QUEUE},
        ),
        ("/v1/queues/{queue}/pause", "post"): Operation(
            name="pauseQueue",
            summary="Pause a queue: what runs goes on, nothing begins, and jobs are accepted as ever",
            scope=Scope.OPERATE,
            answers={200: ("It is paused, by this request or an earlier one.", QueueDescription)},
            problems={404: _NO_QUEUE},
        ),
        ("/v1/queues/{queue}/resume", "post"): Operation(
            name="resumeQueue",
            summary="Resume a paused queue",
            scope=Scope.OPERATE,
            answers={200: ("It is not paused.", QueueDescription)},
            problems={404: _NO_QUEUE},
        ),
        ("/v1/queues/{queue}/purge", "post"): Operation(
            name="purgeQueue",
            summary="Cancel all jobs that wait in a queue, of whatever client",
            description="What runs, and what is scheduled or retrying for later, is left alone.",
            scope=Scope.OPERATE,
            answers={200: ("How many were meant, and how many were cancelled.", Purged)},
            problems={
                404: _NO_QUEUE,
                422: "A field cannot be accepted (`invalid-fields`), or `confirm` is not the queue's name"
                " (`purge-not-confirmed`).",
            },
            body=Purge,
        ),
        ("/v1/failures", "get"): Operation(
            name="listFailures",
            summary="Count what one's jobs failed with, by error",
            scope=Scope.READ,
            answers={200: ("The errors, the most frequent first.", FailureList)},
            problems={422: "Too many jobs had to be looked at (`list-too-slow`)."},
            query=FailureQuery,
        ),
        ("/v1/audit", "get"): Operation(
            name="listAudit",
            summary="Read who did what as an operator or an admin, newest first",
            scope=Scope.ADMIN,
            answers={200: ("A page of the audit log.", AuditPage)},
            query=AuditQuery,
        ),
        ("/healthz", "get"): Operation(
            name="getLiveness",
            summary="Whether the process is alive",
            scope=None,
            answers={200: ("It is.", Health)},
        ),
        ("/readyz", "get"): Operation(
            name="getReadiness",
            summary="Whether requests can be served",
            scope=None,
            answers={200: ("Yes; `degraded` while the broker is away and jobs are only accepted.", Health)},
        ),
    }
)
