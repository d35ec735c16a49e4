"""A journal that several processes write."""

from multiprocessing import get_context
from pathlib import Path

from ops.chaos.history import Alive, Done, Follower, Journal, read


def _write(path: Path, run: str, count: int) -> None:
    journal = Journal(path)
    for number in range(count):
        journal.note(Alive(at=float(number), run=run))
    journal.close()


def test_lines_of_several_processes_are_whole(tmp_path: Path) -> None:
    spawning = get_context("spawn")
    writers = [spawning.Process(target=_write, args=(tmp_path / "j", f"run-{n}" * 50, 500)) for n in range(3)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert len(list(read([tmp_path / "j"]))) == 1500


def test_events_of_several_journals_come_in_the_order_of_time(tmp_path: Path) -> None:
    first, second = Journal(tmp_path / "1"), Journal(tmp_path / "2")
    first.note(Done(at=3.0, run="a"))
    second.note(Alive(at=2.0, run="a"))
    first.note(Alive(at=1.0, run="a"))
    assert [event.at for event in read([tmp_path / "1", tmp_path / "2"])] == [1.0, 2.0, 3.0]


def test_a_journal_is_its_owners_alone(tmp_path: Path) -> None:
    Journal(tmp_path / "j").close()
    assert (tmp_path / "j").stat().st_mode & 0o077 == 0


def test_a_follower_gives_each_event_once_and_half_a_line_when_it_is_whole(tmp_path: Path) -> None:
    file = tmp_path / "j"
    journal = Journal(file)
    journal.note(Alive(at=1.0, run="a"))
    follower = Follower(file)
    line = b'{"event":"done","at":2.0,"run":"a"}\n'
    with file.open("ab", buffering=0) as writer:
        writer.write(line[:10])
        first = follower.more()
        writer.write(line[10:])
        second = follower.more()
    assert [event.at for event in first] == [1.0]
    assert [event.at for event in second] == [2.0]
    assert follower.more() == []
