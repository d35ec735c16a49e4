"""The port `TableLoader`."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager

from sqlalchemy import Connection

from worker.adapters.sql.loading.csv_records import CsvRecords
from worker.adapters.sql.loading.lines import PhysicalLines
from worker.adapters.sql.loading.ndjson_records import NdjsonRecords
from worker.adapters.sql.loading.rejections import Refused, Rejections
from worker.adapters.sql.loading.relation import describe
from worker.adapters.sql.loading.row import chunks
from worker.adapters.sql.loading.target import Append, Target, target
from worker.adapters.sql.loading.writer import Writer
from worker.adapters.sql.markers import Job, Markers, Note
from worker.adapters.sql.sources import Sources
from worker.contract import Fatal
from worker.contract.ports import Loaded, LoadRequest
from worker.contract.ports.database import Format
from worker.definitions import LoadTable

File = AbstractContextManager[Iterable[bytes]]
Between = Callable[[int], None]

_FORMATS: Mapping[Format, type[CsvRecords | NdjsonRecords]] = {"csv": CsvRecords, "ndjson": NdjsonRecords}


class SqlLoader:
    """Loads files into the tables that the definitions list, each once for each job."""

    def __init__(self, sources: Sources) -> None:
        self._sources = sources
        self._markers = Markers(sources)

    def load(self, request: LoadRequest, file: File, between: Between) -> Loaded:
        """Load all good rows of a file in one transaction; see `TableLoader`."""
        declared = self._declared(request)
        rejections = Rejections(request.max_rejected)

        def effect(connection: Connection) -> Note:
            return _load(connection, request, declared, file=file, rejections=rejections, between=between)

        job = Job(id=request.job_id, kind=request.kind, source=request.source, timeout=request.timeout)
        try:
            note = self._markers.once(job, effect)
        except Refused as refused:
            return Loaded(
                rows_applied=0,
                rows_rejected=rejections.count,
                rejected=rejections.csv(),
                refusal=str(refused),
            )
        return Loaded(**note.result, rejected=note.rejected, repeated=note.repeated)

    def _declared(self, request: LoadRequest) -> LoadTable:
        tables = self._sources.find(request.source).tables
        declared = tables.get(request.table)
        if declared is None:
            known = ", ".join(sorted(tables)) or "none"
            raise Fatal(
                f"the data source {request.source!r} takes no loads into {request.table!r};"
                f" its tables are: {known}"
            )
        if request.mode not in declared.modes:
            raise Fatal(
                f"{request.table!r} takes no {request.mode}; its modes are: {', '.join(declared.modes)}"
            )
        return declared


def _load(
    connection: Connection,
    request: LoadRequest,
    declared: LoadTable,
    *,
    file: File,
    rejections: Rejections,
    between: Between,
) -> Note:
    relation = describe(connection, request, declared)
    applied = 0
    with file as pieces:
        rows = _FORMATS[request.format](PhysicalLines(pieces), request, relation, rejections)
        goal = target(connection, relation, request.mode)
        writer = Writer(connection, goal, rejections)
        for written in _written(rows, writer, goal):
            applied += written
            between(applied + rejections.count)
    rejections.settle()
    return Note(
        result={"rows_applied": applied, "rows_rejected": rejections.count}, rejected=rejections.csv()
    )


def _written(rows: CsvRecords | NdjsonRecords, writer: Writer, goal: Target) -> Iterator[int]:
    """Write all rows; how many are written, bit by bit."""
    if isinstance(rows, CsvRecords) and isinstance(goal, Append):
        for block in rows.blocks():
            taken = writer.write_block(block, goal)
            yield block.rows if taken else sum(map(writer.write, chunks(rows.rows_of(block))))
    yield from map(writer.write, chunks(rows))
