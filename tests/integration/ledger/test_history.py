"""What runs again and again costs the same, however long the history is: its plans tell."""

import importlib
import pkgutil
import re
from collections.abc import Iterator

import pytest
from sqlalchemy import TextClause, text
from sqlalchemy.dialects import postgresql

import worker.ledger
from tests.integration.ledger import history, hot
from tests.integration.ledger.explaining import Explained, explained
from tests.integration.ledger.history import Sample
from tests.servers import Servers
from worker.ledger import failures, jobs, partitions
from worker.ledger.engines import Ledger
from worker.settings import Settings

SHORT, LONG = 100, 4_000  # jobs that ended on each day
LOOK = 100  # jobs that a list may look at for one page
LARGE = 100  # pages: what is smaller may well be read whole
A_LITTLE = 300  # rows or pages; a range of `attempts_ended` has 128

# Functions of the ledger, inside of which EXPLAIN does not look: `test_partitions.py` does.
FUNCTIONS = {"claim", "claim a bundle"}

# Of these a look at one job must find its partition.
BY_ID = (
    "submit after another",
    "record an outcome",
    "record outcomes",
    "tell of progress",
    "lose and hand back",
    "take back what was not sent",
    "cancel",
    "look up by id",
    "account",
    "kinds of jobs",
    "results of jobs",
    "batch",
)

# What looks at the history on purpose, or hardly ever runs.
RARE = {
    "messages": {"_PUBLISHED"},  # after the broker lost everything
    "dispatches": {"_UNSENT"},  # after a beat died
    "retention": {"_SURVIVORS", "_WANTED", "_FORGET_BATCHES"},  # once a day
}
_OF_JOBS = re.compile(r"\b(?:FROM|JOIN|INTO|UPDATE)\s+(?:jobs|attempts|acts|batches|endings|unique_keys)\b")


class Filled:
    """A ledger with a history, and what was found of each act."""

    def __init__(self, ledger: Ledger, a_day: int) -> None:
        self._ledger = ledger
        self._sample: Sample = history.fill(ledger, a_day)
        with ledger._write.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text("VACUUM ANALYZE"))
            large = text("SELECT relname FROM pg_class WHERE relkind = 'r' AND relpages > :pages")
            self.large = set(connection.execute(large, {"pages": LARGE}).scalars())
        self._found: dict[str, list[Explained]] = {}

    def explain(self, act: str) -> list[Explained]:
        """The statements of an act, which is then rolled back."""
        if act not in self._found:
            with self._ledger._write.connect() as connection, connection.begin() as transaction:
                with explained(connection) as self._found[act]:
                    hot.ACTS[act](connection, self._sample)
                assert self._found[act]
                transaction.rollback()
        return self._found[act]


@pytest.fixture(scope="module", autouse=True)
def look() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(jobs, "LOOK", LOOK)
        patch.setattr(failures, "LOOK", LOOK)
        patch.setattr(failures, "_FEWEST", LOOK)
        yield


def _filled(embedded: Servers, a_day: int) -> Iterator[Filled]:
    with embedded.database() as url:
        ledger = Ledger.open(Settings(database_url=url), "tests")
        yield Filled(ledger, a_day)
        ledger.close()


@pytest.fixture(scope="module")
def short(embedded: Servers) -> Iterator[Filled]:
    """A ledger with a backlog and hardly any history."""
    yield from _filled(embedded, SHORT)


@pytest.fixture(scope="module")
def long(embedded: Servers) -> Iterator[Filled]:
    """A ledger with the same backlog and a hundred times as long a history."""
    yield from _filled(embedded, LONG)


@pytest.mark.parametrize("act", sorted(hot.ACTS.keys() - FUNCTIONS))
def test_no_table_is_read_whole(long: Filled, act: str) -> None:
    for each in long.explain(act):
        assert not each.read_whole & long.large, each.statement


@pytest.mark.parametrize("act", hot.ACTS)
def test_a_long_history_costs_what_a_short_one_does(short: Filled, long: Filled, act: str) -> None:
    for before, now in zip(short.explain(act), long.explain(act), strict=True):
        assert now.looked_at <= 2 * before.looked_at + A_LITTLE, now.statement


@pytest.mark.parametrize("act", BY_ID)
def test_a_job_is_looked_up_in_one_partition(long: Filled, act: str) -> None:
    for each in long.explain(act):
        for table in partitions.PARTITIONED:
            assert len(each.partitions(table)) <= 1, each.statement


def test_every_statement_about_jobs_is_looked_at(long: Filled) -> None:
    looked_at = {each.statement for act in hot.ACTS for each in long.explain(act)}
    left = {
        f"{module}.{name}"
        for module, name, statement in _statements()
        if name not in RARE.get(module, ()) and statement not in looked_at
    }
    assert not left


def _statements() -> Iterator[tuple[str, str, str]]:
    for found in pkgutil.iter_modules(worker.ledger.__path__):
        if not found.ispkg:
            module = importlib.import_module(f"worker.ledger.{found.name}")
            for name, value in vars(module).items():
                for clause in value if isinstance(value, tuple) else (value,):
                    if isinstance(clause, TextClause) and _OF_JOBS.search(clause.text):
                        yield found.name, name, str(clause.compile(dialect=postgresql.psycopg2.dialect()))
