"""Metrics on a full disk: neither a signal nor an error, and what was counted before stays."""

import errno
from contextlib import closing
from pathlib import Path
from typing import NoReturn

import pytest

from worker.tallies import _Roomy

FIRST = 65536  # bytes


def no_room(*_: object) -> NoReturn:
    raise OSError(errno.ENOSPC, "No space left on device")


def test_a_new_file_has_its_room_before_it_is_used(tmp_path: Path) -> None:
    path = tmp_path / "counter_1.db"
    with closing(_Roomy(str(path))) as tally:
        assert path.stat().st_blocks * 512 >= FIRST
        tally.write_value("jobs", 3.0, 0.0)
    assert next(_Roomy.read_all_values_from_file(str(path)))[:2] == ("jobs", 3.0)


def test_without_room_for_a_file_values_are_kept_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "counter_1.db"
    with monkeypatch.context() as patched:
        patched.setattr("worker.tallies._reserve", no_room)
        tally = _Roomy(str(path))
    with closing(tally):
        tally.write_value("jobs", 3.0, 0.0)
        assert tally.read_value("jobs") == (3.0, 0.0)
    assert not path.exists()


def test_a_value_without_room_is_counted_once_there_is_some(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "counter_1.db"
    names = [f"{number:0>1000}" for number in range(FIRST // 1000)]
    with closing(_Roomy(str(path))) as tally:
        with monkeypatch.context() as patched:
            patched.setattr("os.posix_fallocate", no_room)
            for name in names:
                tally.write_value(name, 1.0, 0.0)
            assert path.stat().st_size == FIRST
            assert tally.read_value(names[-1]) == (0.0, 0.0)
            assert tally.read_value(names[0]) == (1.0, 0.0)
        tally.write_value(names[-1], 2.0, 0.0)
        assert path.stat().st_blocks * 512 >= 2 * FIRST
        assert tally.read_value(names[-1]) == (2.0, 0.0)
