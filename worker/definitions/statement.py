"""Named statements of `database.execute`: `statements/NAME.toml`."""

from typing import Annotated

import msgspec
from msgspec import Meta

from worker.definitions.parameter import Parameter


class Statement(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One SQL statement."""

    source: Annotated[str, Meta(description="The data source that it runs on.")]
    sql: Annotated[str, Meta(min_length=1, description="The statement; `:name` stands for a parameter.")]
    description: Annotated[str, Meta(description="What it does, for those who submit jobs.")] = ""
    parameters: Annotated[dict[str, Parameter], Meta(description="What a job gives by name.")] = {}
    max_rows: Annotated[
        Annotated[int, Meta(ge=0, le=1000)],
        Meta(description="Rows that it may return into the job's result; one more fails the job."),
    ] = 100
