"""The JSON Schemas of the files, for editors."""

from typing import Any

import msgspec

from worker.definitions.folder import SECTIONS


def schema(section: str) -> dict[str, Any]:
    """The schema (JSON Schema 2020-12) of the files of a section.

    Raises:
        KeyError: there is no such section.
    """
    structure = msgspec.json.schema(SECTIONS[section])
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **structure}
