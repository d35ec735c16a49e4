"""The records of artifacts; their bytes are in `worker.storage`."""

from collections.abc import Sequence
from uuid import UUID

import msgspec
from sqlalchemy import Connection, RowMapping, select, text
from sqlalchemy.dialects.postgresql import insert

from worker.ledger.records import Artifact
from worker.ledger.tables import artifacts


def record_artifacts(connection: Connection, files: Sequence[Artifact]) -> None:
    """Note stored files; of two of one job and name the later one stands."""
    if not files:
        return
    latest = {(file.job_id or file.id, file.name): msgspec.structs.asdict(file) for file in files}
    statement = insert(artifacts).values(list(latest.values()))
    later = {
        name: statement.excluded[name] for name in ("id", "content_type", "size", "sha256", "created_at")
    }
    connection.execute(statement.on_conflict_do_update(constraint="artifacts_job_name", set_=later))


def find_artifact(connection: Connection, artifact_id: UUID, client_id: UUID) -> Artifact | None:
    """A client's artifact by its id."""
    wanted = select(artifacts).where(artifacts.c.id == artifact_id, artifacts.c.client_id == client_id)
    return _artifact(connection.execute(wanted).mappings().one_or_none())


def find_of_job(connection: Connection, job_id: UUID, name: str, client_id: UUID | None) -> Artifact | None:
    """An artifact of a client's job (None: of any client's) by its name."""
    wanted = select(artifacts).where(artifacts.c.job_id == job_id, artifacts.c.name == name)
    if client_id is not None:
        wanted = wanted.where(artifacts.c.client_id == client_id)
    return _artifact(connection.execute(wanted).mappings().one_or_none())


class Kept(msgspec.Struct, frozen=True):
    """The files that a client keeps uploaded."""

    files: int
    size: int  # bytes of all together


_UPLOADS = text("""
    SELECT count(*) AS files, coalesce(sum(size), 0) AS size
    FROM (SELECT size FROM artifacts WHERE client_id = :client_id AND job_id IS NULL LIMIT :most) kept
""")


def uploads_of(connection: Connection, client_id: UUID, most: int) -> Kept:
    """What a client keeps uploaded; of more than `most` files, so many of them."""
    row = connection.execute(_UPLOADS, {"client_id": client_id, "most": most}).one()
    return Kept(row.files, int(row.size))


_HOLD = text("SELECT FROM clients WHERE id = :client_id FOR NO KEY UPDATE")


def hold_uploads(connection: Connection, client_id: UUID) -> None:
    """Let no other upload of this client be held until the transaction ends: what is counted stays so."""
    connection.execute(_HOLD, {"client_id": client_id})


_DELETE = text("""
    DELETE FROM artifacts WHERE id = :id AND client_id = :client_id AND job_id IS NULL RETURNING id
""")


def delete_upload(connection: Connection, artifact_id: UUID, client_id: UUID) -> bool:
    """Forget a client's own file; whether there was one. Its bytes go after the commit."""
    words = {"id": artifact_id, "client_id": client_id}
    return connection.execute(_DELETE, words).scalar() is not None


def _artifact(row: RowMapping | None) -> Artifact | None:
    return None if row is None else Artifact(**{name: row[name] for name in Artifact.__struct_fields__})
