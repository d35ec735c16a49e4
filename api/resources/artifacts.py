"""Artifacts: a client's own files going up, and the bytes of all of them going down."""

import base64
import re
from collections.abc import Iterator
from typing import Annotated, BinaryIO

import msgspec
from loguru import logger
from msgspec import Meta
from sqlalchemy import Connection

from api import representations
from api.answers import answer, leave_out_known
from api.applications import Request, Response
from api.bodies import chunks, media_type
from api.errors import Problem, invalid
from api.identifiers import parse_id
from api.queries import query
from api.ranges import Part, wanted_part
from api.upload_cap import UploadCap
from worker.enqueue import Refused
from worker.ledger import artifacts
from worker.ledger.clients import Client
from worker.ledger.engines import Ledger
from worker.ledger.records import Artifact
from worker.storage import Storage

_CHUNK = 64 * 1024  # bytes
_MEDIA_TYPE = re.compile(
    r"[\w!#$&^.+-]{1,100}/[\w!#$&^.+-]{1,100}(?:; ?[\w.-]{1,50}=[\w.:+-]{1,100})*", re.ASCII
)
# How forms are sent (HTML, section 4.10.21), and what curl and browsers say unasked.
_FORMS = {"multipart/form-data", "application/x-www-form-urlencoded"}

# A name is a label and never a path; still it must be harmless where somebody saves the file.
FileName = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=200,
        pattern=r"^(?:\.{0,2}[^.\x00-\x1f\x7f/\\\"]|\.{3})[^\x00-\x1f\x7f/\\\"]*$(?!\n)",
        extra={"misfit": "is no file's name: no slash, backslash, quotation mark or control character"},
        description="What the file is called: no slashes, quotation marks or control characters.",
    ),
]


class UploadQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How an uploaded file is called."""

    name: FileName


class Uploads:
    """A client's own files, for payloads to name.

    Args:
        storage: keeps the bytes.
        ledger: keeps the record.
        limit: bytes that one file may have.
        cap: on what a client keeps.
    """

    def __init__(self, storage: Storage, ledger: Ledger, limit: int, cap: UploadCap) -> None:
        self._storage = storage
        self._ledger = ledger
        self._limit = limit
        self._cap = cap

    def on_post(self, req: Request, resp: Response) -> None:
        """Store the body as a file."""
        name = query(req, UploadQuery).name
        content_type = _content_type(req)
        if self._cap.bounded:  # before bytes are stored that would not be kept
            with self._ledger.write() as connection:
                self._cap.admit(connection, req.context.client.id, req.content_length or 0)
        artifact = self._store(req, name, content_type)
        try:
            with self._ledger.write() as connection:
                self._record(connection, artifact)
        except Exception:
            self._storage.delete(artifact.id)
            raise
        shown = representations.Artifact.of_row(msgspec.structs.asdict(artifact))
        answer(resp, 201, shown)
        resp.location = shown.links["self"]

    def _record(self, connection: Connection, artifact: Artifact) -> None:
        if self._cap.bounded:
            artifacts.hold_uploads(connection, artifact.client_id)
            self._cap.admit(connection, artifact.client_id, artifact.size)
        artifacts.record_artifacts(connection, [artifact])

    def _store(self, req: Request, name: str, content_type: str) -> Artifact:
        client: Client = req.context.client
        with self._storage.create() as (artifact_id, writer):
            for piece in chunks(req, self._limit):
                writer.write(piece)
        return Artifact(
            id=artifact_id,
            client_id=client.id,
            job_id=None,
            name=name,
            content_type=content_type,
            size=writer.size,
            sha256=writer.sha256,
        )


class Upload:
    """One of a client's own files."""

    def __init__(self, storage: Storage, ledger: Ledger) -> None:
        self._storage = storage
        self._ledger = ledger

    def on_get(self, req: Request, resp: Response, artifact_id: str) -> None:
        """Send it, or a part of it."""
        wanted = parse_id(artifact_id)
        if wanted is None:
            raise _no_such_artifact()
        with self._ledger.write() as connection:
            artifact = artifacts.find_artifact(connection, wanted, req.context.client.id)
        _send(req, resp, artifact, self._storage)

    on_head = on_get

    def on_delete(self, req: Request, resp: Response, artifact_id: str) -> None:
        """Delete a file that was uploaded; those of jobs go with their jobs."""
        wanted, client_id = parse_id(artifact_id), req.context.client.id
        if wanted is None:
            raise _no_such_artifact()
        with self._ledger.write() as connection:
            deleted = artifacts.delete_upload(connection, wanted, client_id)
            kept = None if deleted else artifacts.find_artifact(connection, wanted, client_id)
        if kept is not None:
            raise Problem(409, "a job made this file; it goes with its job, when retention takes that away")
        if not deleted:
            raise _no_such_artifact()
        self._storage.delete(wanted)
        resp.status = 204


class JobArtifact:
    """A file that a job produced."""

    def __init__(self, storage: Storage, ledger: Ledger) -> None:
        self._storage = storage
        self._ledger = ledger

    def on_get(self, req: Request, resp: Response, job_id: str, name: str) -> None:
        """Send it, or a part of it."""
        wanted = parse_id(job_id)
        if wanted is None or "\0" in name:  # PostgreSQL's text knows no NUL
            raise _no_such_artifact()
        with self._ledger.write() as connection:
            artifact = artifacts.find_of_job(connection, wanted, name, req.context.client.reach)
        _send(req, resp, artifact, self._storage)

    on_head = on_get


class _Pieces:
    """A part of a file, a piece at a time; the server closes it, however far it got."""

    def __init__(self, file: BinaryIO, part: Part) -> None:
        self._file = file
        self._part = part

    def __iter__(self) -> Iterator[bytes]:
        self._file.seek(self._part.first)
        left = self._part.length
        while left and (piece := self._file.read(min(left, _CHUNK))):
            left -= len(piece)
            yield piece

    def close(self) -> None:
        self._file.close()


def _send(req: Request, resp: Response, artifact: Artifact | None, storage: Storage) -> None:
    if artifact is None:
        raise _no_such_artifact()
    if not leave_out_known(req, resp, artifact.sha256):
        _fill(req, resp, artifact, storage)
    _describe(resp, artifact)  # last, for an error has no headers of a file


def _fill(req: Request, resp: Response, artifact: Artifact, storage: Storage) -> None:
    resp.content_type = artifact.content_type
    whole = Part(0, artifact.size - 1)
    if req.method == "HEAD":
        resp.content_length = whole.length
        return
    part = wanted_part(req, artifact.size, artifact.sha256)
    resp.set_stream(_Pieces(_open(storage, artifact), part or whole), (part or whole).length)
    if part is not None:
        resp.status = 206
        resp.content_range = (part.first, part.last, artifact.size)


def _describe(resp: Response, artifact: Artifact) -> None:
    resp.etag = artifact.sha256
    # A later attempt of the job may replace the file of a name.
    resp.cache_control = ("private", "no-cache")
    resp.accept_ranges = "bytes"
    digest = base64.b64encode(bytes.fromhex(artifact.sha256)).decode()
    resp.set_header("Repr-Digest", f"sha-256=:{digest}:")  # RFC 9530, section 3
    # A file is somebody's data: no browser may run it as a page of this origin.
    resp.downloadable_as = artifact.name
    resp.set_header("X-Content-Type-Options", "nosniff")


def _open(storage: Storage, artifact: Artifact) -> BinaryIO:
    try:
        return storage.open(artifact.id)
    except FileNotFoundError:
        logger.error("artifact_missing", artifact_id=str(artifact.id))
        raise _no_such_artifact() from None


def _content_type(req: Request) -> str:
    if media_type(req) in _FORMS:
        raise Problem(
            415,
            "this is how a form is sent; send the file itself as the body, and say what it is:"
            " curl --data-binary @file -H 'Content-Type: text/csv'",
        )
    given = req.content_type or "application/octet-stream"
    if not _MEDIA_TYPE.fullmatch(given):
        raise invalid(400, Refused("Content-Type", "is no media type"))
    return given


def _no_such_artifact() -> Problem:
    return Problem(404, "there is no such artifact", code="no-such-artifact")
