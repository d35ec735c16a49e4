"""A migration leaves the version before at work, or says since when nothing needs what it takes away."""

import re
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest

from worker.ledger.migrations import versions

NAMES = sorted(path.stem for path in Path(versions.__path__[0]).glob("v*.py"))
NARROWING = re.compile(
    r"\b(DROP\s+(?!NOT\s+NULL)|RENAME\b|SET\s+NOT\s+NULL|ADD\s+CONSTRAINT|ALTER\s+COLUMN\s+\w+\s+(SET\s+DATA\s+)?TYPE"
    r"|ADD\s+COLUMN\b(?=[^;,]*\bNOT\s+NULL)(?![^;,]*\bDEFAULT\b))",
    re.IGNORECASE,
)


def takes_away(sql: str) -> bool:
    return NARROWING.search(sql) is not None


@pytest.mark.parametrize("name", NAMES[1:])
def test_a_migration_only_adds_or_takes_away_what_is_long_unused(name: str) -> None:
    module: ModuleType = import_module(f"{versions.__name__}.{name}")
    if takes_away(Path(module.__file__ or "").read_text("utf-8")):
        unused_since: str = module.unused_since
        assert unused_since < module.down_revision


@pytest.mark.parametrize(
    ("sql", "narrows"),
    [
        ("ALTER TABLE jobs ADD COLUMN checkpoint JSON", False),
        ("ALTER TABLE jobs ADD COLUMN more INTEGER NOT NULL DEFAULT 0", False),
        ("ALTER TABLE jobs ALTER COLUMN payload DROP NOT NULL", False),
        ("CREATE TABLE news (id UUID NOT NULL)", False),
        ("ALTER TABLE jobs ADD COLUMN more INTEGER NOT NULL", True),
        ("ALTER TABLE jobs DROP COLUMN tags", True),
        ("ALTER TABLE jobs RENAME COLUMN tags TO labels", True),
        ("ALTER TABLE jobs ALTER COLUMN tags SET NOT NULL", True),
        ("ALTER TABLE jobs ALTER COLUMN attempt TYPE BIGINT", True),
        ("ALTER TABLE jobs ADD CONSTRAINT few CHECK (attempt < 9)", True),
        ("DROP INDEX jobs_due", True),
    ],
)
def test_what_would_stop_the_version_before_is_recognized(sql: str, *, narrows: bool) -> None:
    assert takes_away(sql) is narrows
