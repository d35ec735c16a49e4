"""The records of artifacts; their bytes are in `worker.storage`."""

from collections.abc import Sequence
from uuid import UUID

import msgspec
from sqlalchemy import Connection, RowMapping, select
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


def _artifact(row: RowMapping | None) -> Artifact | None:
    return None if row is None else Artifact(**{name: row[name] for name in Artifact.__struct_fields__})
