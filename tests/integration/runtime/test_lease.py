"""The lease of a worker on a real ledger: its heartbeat, its losses, its end."""

import os
import signal
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import msgspec
import psycopg2
import pytest
from prometheus_client import CollectorRegistry
from sqlalchemy import Engine, create_engine, event, make_url, select, text

from ops.chaos.proxy import Proxy
from tests.awaiting import eventually
from tests.integration.runtime.conftest import Hold, Look, Submit
from tests.unit.worker.runtime.samples import ask
from worker.ledger import messages, transitions
from worker.ledger.engines import Ledger, lease_args, writing_url
from worker.ledger.records import ClaimedJob
from worker.ledger.tables import jobs, workers
from worker.runtime.lease import LeaseKeeper
from worker.runtime.metrics import Metrics
from worker.runtime.runner import Incarnation
from worker.settings import Settings

Heartbeat = Callable[[], datetime | None]
Ours = Callable[[], ClaimedJob]
Die = Callable[[ClaimedJob, str], None]


def keeping(settings: Settings, incarnation: Incarnation, beat: Callable[[], None]) -> LeaseKeeper:
    """The keeper of a worker that holds no job."""
    return LeaseKeeper(
        settings,
        incarnation,
        lambda: ["email"],
        catalog={},
        metrics=Metrics(CollectorRegistry(), {}),
        known=set,
        forks=False,
        beat=beat,
    )


@pytest.fixture
def known() -> set[UUID]:
    """The jobs whose messages the worker has in hand."""
    return set()


@pytest.fixture
def incarnation() -> Incarnation:
    return Incarnation(uuid4(), "worker@host")


@pytest.fixture
def ours(hold: Hold, incarnation: Incarnation, known: set[UUID]) -> Ours:
    """A job that this worker runs."""

    def claim() -> ClaimedJob:
        return hold(incarnation.id, known)

    return claim


@pytest.fixture
def die(lease: LeaseKeeper, known: set[UUID]) -> Die:
    """Celery says that a process died: its job's message is in hand no more."""

    def die(job: ClaimedJob, reason: str) -> None:
        known.discard(job.id)
        lease.lost(job.id, reason)

    return die


@pytest.fixture
def beats() -> list[None]:
    """One for each time that the lease's thread showed that it lives."""
    return []


@pytest.fixture
def lease(
    settings: Settings, incarnation: Incarnation, known: set[UUID], beats: list[None]
) -> Iterator[LeaseKeeper]:
    keeper = LeaseKeeper(
        settings,
        incarnation,
        lambda: ["email"],
        catalog={ask.name: ask},
        metrics=Metrics(CollectorRegistry(), {}),
        known=lambda: set(known),
        forks=False,
        beat=lambda: beats.append(None),
    )
    keeper.take()
    keeper.start()
    yield keeper
    keeper.end(0.0)


@pytest.fixture
def heartbeat(ledger: Ledger, incarnation: Incarnation) -> Heartbeat:
    def heartbeat() -> datetime | None:
        with ledger.read() as connection:
            wanted = select(workers.c.heartbeat_at).where(workers.c.id == incarnation.id)
            return connection.execute(wanted).scalar()

    return heartbeat


@pytest.mark.usefixtures("lease")
def test_it_is_renewed(heartbeat: Heartbeat) -> None:
    first = heartbeat()
    assert first is not None
    eventually(lambda: (heartbeat() or first) > first)


@pytest.mark.usefixtures("lease")
def test_it_is_renewed_while_the_ledger_takes_no_more_connections(heartbeat: Heartbeat) -> None:
    first = heartbeat()
    assert first is not None

    def refuse(*_: object) -> None:
        raise psycopg2.OperationalError("sorry, too many clients already")

    event.listen(Engine, "do_connect", refuse)
    try:
        eventually(lambda: (heartbeat() or first) > first)
    finally:
        event.remove(Engine, "do_connect", refuse)


@pytest.mark.usefixtures("lease")
def test_it_is_renewed_over_another_connection_when_its_own_was_cut(
    heartbeat: Heartbeat, ledger: Ledger
) -> None:
    with ledger.write() as connection:
        cut = connection.execute(
            text("""
                SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
                WHERE application_name = 'jobyard-lease' AND datname = current_database()
            """)
        ).scalar_one()
    first = heartbeat()
    assert cut == 1
    assert first is not None
    eventually(lambda: (heartbeat() or first) > first)


@pytest.mark.usefixtures("lease")
def test_nothing_follows_a_heartbeat_that_a_lost_server_could_leave_unanswered(
    heartbeat: Heartbeat, ledger: Ledger
) -> None:
    first = heartbeat()
    assert first is not None
    second = eventually(lambda: (now := heartbeat()) and now > first and now)
    eventually(lambda: (heartbeat() or second) > second)
    last = text("""
        SELECT query FROM pg_stat_activity
        WHERE application_name = 'jobyard-lease' AND datname = current_database()
    """)
    with ledger.read() as connection:
        said = connection.execute(last).scalar_one()
    assert said.split()[0] in {"INSERT", "SELECT"}  # a heartbeat, or the comparison after each other one


def _freeze(ledger: Ledger) -> int | None:
    """Stop the process that serves the lease, unless it is in the middle of something, with a row locked."""
    idle = text("""
        SELECT pid FROM pg_stat_activity
        WHERE application_name = 'jobyard-lease' AND datname = current_database() AND state = 'idle'
    """)
    with ledger.read() as connection:
        pid: int | None = connection.execute(idle).scalar()
    if pid is not None:
        os.kill(pid, signal.SIGSTOP)
        with ledger.read() as connection:
            if connection.execute(idle).scalar() == pid:
                return pid
        os.kill(pid, signal.SIGCONT)
    return None


@pytest.mark.usefixtures("lease")
def test_it_is_renewed_over_another_connection_when_its_own_froze(
    heartbeat: Heartbeat, ledger: Ledger
) -> None:
    """A stopped server is there for TCP, and times nothing out."""
    frozen = eventually(lambda: _freeze(ledger))
    try:
        first = heartbeat()
        assert first is not None
        eventually(lambda: (heartbeat() or first) > first + timedelta(seconds=0.5))
    finally:
        os.kill(frozen, signal.SIGCONT)


@pytest.fixture
def wire(settings: Settings) -> Iterator[Proxy]:
    """A way to the ledger that can be lost."""
    with Proxy(make_url(settings.database_url or "").port or 0) as proxy:
        yield proxy


@pytest.fixture
def far(settings: Settings, wire: Proxy) -> Settings:
    """A worker's at the other end of the wire."""
    url = make_url(settings.database_url or "").set(port=wire.port)
    there = url.render_as_string(hide_password=False)
    return msgspec.structs.replace(settings, database_url=there, lease=8.0, heartbeat=0.5)


@pytest.mark.parametrize("locked", [False, True], ids=["free", "locked by what was lost"])
def test_it_is_kept_although_its_connection_was_lost_without_a_word(
    far: Settings, wire: Proxy, incarnation: Incarnation, heartbeat: Heartbeat, *, locked: bool
) -> None:
    keeper = keeping(far, incarnation, lambda: None)
    keeper.take()
    lost = create_engine(writing_url(far), connect_args=lease_args(far)).connect()
    if locked:
        lost.execute(text("UPDATE workers SET host = 'h' WHERE id = :id"), {"id": incarnation.id})
    before = heartbeat()
    assert before is not None
    wire.lose()
    keeper.start()
    try:
        eventually(lambda: (heartbeat() or before) > before, far.lease)
    finally:
        keeper.fall_silent()
        lost.invalidate()


def test_it_is_renewed_however_much_there_is_to_record(lease: LeaseKeeper, heartbeat: Heartbeat) -> None:
    """A kind that kills its process again and again must not cost the worker its lease."""
    first = heartbeat()
    assert first is not None

    def later_while_ringing() -> bool:
        lease.lost(uuid4(), "its process died")
        return (heartbeat() or first) > first

    eventually(later_while_ringing)


def test_a_job_whose_process_died_is_lost_at_once(die: Die, ours: Ours, look: Look) -> None:
    job = ours()
    die(job, "its process died: signal 9")
    eventually(lambda: look(job.id)["state"] == "queued")
    assert look(job.id)["outcomes"] == ["lost"]
    assert look(job.id)["error"]["message"] == "its process died: signal 9"


def test_a_job_that_was_claimed_here_again_is_not_lost_with_its_first_process(
    lease: LeaseKeeper, ours: Ours, look: Look, heartbeat: Heartbeat
) -> None:
    """It retried at once, and the news of its first process come late."""
    job = ours()
    lease.lost(job.id, "its process died: signal 9")
    _two_beats(heartbeat)
    assert look(job.id)["state"] == "running"


def test_a_job_of_another_worker_is_not_lost_with_a_process_of_this_one(
    lease: LeaseKeeper, hold: Hold, look: Look, heartbeat: Heartbeat
) -> None:
    job = hold(uuid4())
    lease.lost(job.id, "its process died")
    _two_beats(heartbeat)
    assert look(job.id)["state"] == "running"


@pytest.mark.usefixtures("lease")
def test_a_job_that_nobody_here_knows_of_is_lost(ours: Ours, look: Look, known: set[UUID]) -> None:
    kept, vanished = ours(), ours()
    known.remove(vanished.id)
    eventually(lambda: look(vanished.id)["state"] == "queued")
    assert look(vanished.id)["error"]["message"] == "its process vanished"
    assert look(kept.id)["state"] == "running"


def test_a_job_on_its_way_is_not_taken_for_lost(
    lease: LeaseKeeper, ours: Ours, look: Look, known: set[UUID]
) -> None:
    """Held in the ledger and unknown here at one look: a claim, or an outcome, in flight."""
    lease.fall_silent()  # the looks are this test's
    job = ours()
    known.clear()
    lease._losses.compare()
    known.add(job.id)
    lease._losses.compare()
    known.clear()
    lease._losses.compare()
    assert look(job.id)["state"] == "running"
    lease._losses.compare()
    assert look(job.id)["state"] == "queued"


def test_an_overrun_is_a_spent_attempt_and_no_loss(die: Die, ledger: Ledger, ours: Ours, look: Look) -> None:
    job = ours()
    with ledger.write() as connection:
        transitions.mark_overrun(connection, job.id, job.token)
    die(job, "its process died: signal 9")
    eventually(lambda: look(job.id)["state"] == "retrying")
    assert (look(job.id)["losses"], look(job.id)["error"]["type"]) == (0, "DeadlineExceeded")


def test_an_overrun_that_the_ledger_does_not_know_is_none_either(
    lease: LeaseKeeper, known: set[UUID], ledger: Ledger, ours: Ours, look: Look
) -> None:
    """The signal that ended the process says it."""
    job = ours()
    known.discard(job.id)
    lease.overran(job.id, "its process died: signal 14 (SIGALRM)")
    eventually(lambda: look(job.id)["state"] == "retrying")
    assert (look(job.id)["losses"], look(job.id)["error"]["type"]) == (0, "DeadlineExceeded")
    with ledger.read() as connection:
        marked = select(jobs.c.overran).where(jobs.c.id == job.id)
        assert connection.execute(marked).scalar_one()  # it shares no bundle from now on


def test_its_end_counts_an_overrun_of_which_it_just_heard_as_spent(
    lease: LeaseKeeper, ours: Ours, look: Look
) -> None:
    job = ours()
    lease.fall_silent()
    lease.overran(job.id, "its process died: signal 14 (SIGALRM)")
    lease.end(0.0)
    assert look(job.id)["outcomes"] == ["failed"]


@pytest.mark.parametrize("first", ["the word", "the death"])
def test_a_job_that_an_operator_terminates_is_cancelled(
    lease: LeaseKeeper, ours: Ours, die: Die, look: Look, first: str
) -> None:
    """The word and the death come one after the other, before anything is recorded."""
    lease.fall_silent()  # the rounds are this test's
    lease._losses.over = False
    job = ours()
    if first == "the word":
        lease.cancel(job.id, "operator")
    die(job, "its process was terminated")
    if first == "the death":
        lease.cancel(job.id, "operator")
    lease._losses.settle()
    assert look(job.id)["state"] == "cancelled"
    assert look(job.id)["outcomes"] == ["cancelled"]


def test_a_waiting_job_is_cancelled(lease: LeaseKeeper, submit: Submit, look: Look) -> None:
    job_id = submit()
    lease.cancel(job_id, "operator")
    eventually(lambda: look(job_id)["state"] == "cancelled")


def test_a_message_that_came_to_nothing_is_marked_unpublished(
    lease: LeaseKeeper, ledger: Ledger, submit: Submit, look: Look
) -> None:
    job_id = submit()
    assert look(job_id)["published_at"] is not None
    lease.release([job_id])
    assert look(job_id)["published_at"] is None
    with ledger.write() as connection:
        assert job_id in {m.job_id for m in messages.take_publishable(connection, "email", 1000, alone=False)}


@pytest.mark.parametrize(("delay", "state"), [(0.0, "queued"), (2.0, "retrying")])
def test_its_end_hands_everything_back_unspent(
    lease: LeaseKeeper, ours: Ours, look: Look, delay: float, state: str
) -> None:
    ids = [ours().id for _ in range(3)]
    assert lease.end(delay) == 3
    for job_id in ids:
        job: Any = look(job_id)
        assert (job["state"], job["losses"], job["hand_backs"]) == (state, 0, 1)
        assert job["outcomes"] == ["handed_back"]


def test_its_end_takes_nothing_of_others(
    lease: LeaseKeeper, hold: Hold, look: Look, heartbeat: Heartbeat
) -> None:
    foreign = hold(uuid4()).id
    assert lease.end(0.0) == 0
    assert look(foreign)["state"] == "running"
    assert heartbeat() is None


def test_its_end_counts_an_overrun_as_spent(
    lease: LeaseKeeper, ledger: Ledger, ours: Ours, look: Look
) -> None:
    job = ours()
    with ledger.write() as connection:
        transitions.mark_overrun(connection, job.id, job.token)
    assert lease.end(2.0) == 0
    assert look(job.id)["outcomes"] == ["failed"]
    assert look(job.id)["error"]["type"] == "DeadlineExceeded"


def test_it_does_not_come_back_after_its_end(
    lease: LeaseKeeper, heartbeat: Heartbeat, settings: Settings, submit: Submit, look: Look
) -> None:
    """A heartbeat on its way must not take the lease anew."""
    lease.end(0.0)
    lease.cancel(job_id := submit(), "operator")
    with pytest.raises(AssertionError, match="not within"):
        eventually(lambda: heartbeat() or look(job_id)["state"] != "queued", 5 * settings.heartbeat)


def test_a_process_that_dies_after_the_end_began_is_no_loss(
    lease: LeaseKeeper, die: Die, ours: Ours, look: Look
) -> None:
    """Its grace was over, and the worker killed it itself."""
    job = ours()
    lease.fall_silent()
    die(job, "its process died: signal 9")
    lease.end(0.0)
    assert look(job.id)["outcomes"] == ["handed_back"]


def _two_beats(heartbeat: Heartbeat) -> None:
    for _ in range(2):
        seen = heartbeat()
        eventually(lambda: heartbeat() != seen)  # noqa: B023 - looked at in this round


@pytest.mark.usefixtures("lease")
def test_its_thread_shows_that_it_lives(beats: list[None]) -> None:
    so_far = len(beats)
    eventually(lambda: len(beats) > so_far + 2)


def test_a_worker_that_waits_for_its_ledger_lives(
    settings: Settings, incarnation: Incarnation, beats: list[None]
) -> None:
    away = msgspec.structs.replace(settings, database_url="postgresql://nobody@127.0.0.1:1/nothing")
    keeper = keeping(away, incarnation, lambda: beats.append(None))
    keeper.start()
    eventually(lambda: len(beats) > 2)
    keeper.fall_silent()


def test_a_worker_whose_ledger_hangs_lives(
    settings: Settings, incarnation: Incarnation, wire: Proxy, beats: list[None], heartbeat: Heartbeat
) -> None:
    url = make_url(settings.database_url or "").set(port=wire.port).render_as_string(hide_password=False)
    keeper = keeping(
        msgspec.structs.replace(settings, database_url=url, database_connect_timeout=1),
        incarnation,
        lambda: beats.append(None),
    )
    keeper.take()
    keeper.start()
    _two_beats(heartbeat)
    wire.swallow()
    so_far = len(beats)
    eventually(lambda: len(beats) > so_far + 3)
    wire.restore()
    _two_beats(heartbeat)
    keeper.end(0.0)
