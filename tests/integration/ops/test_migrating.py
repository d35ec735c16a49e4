"""A migration of a ledger that is in use."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import Engine, create_engine, text

from ops.cli import schema
from tests.awaiting import eventually
from tests.servers import Servers
from worker.ledger import migrate

USING = text("SELECT count(*) FROM dispatches")
WAITING = text(
    "SELECT count(*) FROM pg_locks WHERE relation = CAST('dispatches' AS regclass) AND NOT granted"
)


@pytest.fixture
def ledger(embedded: Servers) -> Iterator[Engine]:
    """Of a version before the one that changes `dispatches`."""
    with embedded.database(migrated=False) as url:
        engine = create_engine(url)
        with engine.begin() as connection:
            migrate.upgrade(connection, "0006")
        yield engine
        engine.dispose()


@pytest.fixture(autouse=True)
def _settings(ledger: Engine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    url = ledger.url.render_as_string(hide_password=False)
    monkeypatch.setenv("JOBYARD_DATABASE_URL", url)
    monkeypatch.setenv("JOBYARD_HOME", str(tmp_path))
    monkeypatch.setattr(schema, "_PAUSE", 0.1)


def run() -> Result:
    return CliRunner().invoke(schema.migrate)


def test_it_waits_for_a_long_transaction_and_makes_nobody_wait_behind_it(ledger: Engine) -> None:
    with ThreadPoolExecutor(1) as threads:
        with ledger.begin() as long, ledger.connect() as other:
            long.execute(USING)
            migration = threads.submit(run)
            eventually(lambda: other.execute(WAITING).scalar_one())

            assert other.execute(USING).scalar_one() == 0
        result = migration.result(30)

    assert result.exit_code == 0, result.output
    assert result.output.count("waiting for transactions that use the tables") == 1
    assert "ledger at version" in result.output


def test_it_gives_up_with_a_word_of_what_to_do(ledger: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schema, "_TRIES", 1)
    with ledger.begin() as long:
        long.execute(USING)
        result = run()

    assert result.exit_code == 1
    assert "nothing was changed" in result.output
    with ledger.connect() as connection:
        assert migrate.pending(connection)[0] == "0006"
