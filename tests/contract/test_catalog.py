"""The published snapshot of the catalog: a change of the contract with clients is a visible diff.

After a change that is meant: `pytest tests/contract --update-catalog`, and commit `catalog.json` with it.
"""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from worker import catalog
from worker.catalog import AnyKind

SNAPSHOT = Path(__file__).with_name("catalog.json")
HOW = "the catalog differs from its snapshot; if that is meant: pytest tests/contract --update-catalog"


def test_the_catalog_is_the_published_one(request: pytest.FixtureRequest) -> None:
    now = {name: _published(kind) for name, kind in catalog.load().items()}
    if request.config.getoption("--update-catalog"):
        SNAPSHOT.write_text(json.dumps(now, indent=2, ensure_ascii=False) + "\n", "utf-8")
    assert json.loads(SNAPSHOT.read_text("utf-8")) == json.loads(json.dumps(now)), HOW


def _published(kind: AnyKind) -> dict[str, Any]:
    return {
        "queue": kind.queue.name,
        "max_attempts": kind.max_attempts,
        "deadline": kind.deadline,
        **({"short": True} if kind.short else {}),
        **({"operator": True} if kind.operator else {}),
        "payload": msgspec.json.schema(kind.payload_type),
        "result": msgspec.json.schema(kind.result_type) if kind.result_type else None,
    }
