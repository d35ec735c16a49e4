"""The files of metrics: a full disk is neither signal nor error, and the dead leave their counts alone."""

import errno
import os
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import NoReturn

import pytest
from prometheus_client import CollectorRegistry

from worker.tallies import Shared, _Roomy

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


COUNT = """
import os
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
registry = CollectorRegistry()
Counter("jobs", "Jobs", registry=registry).inc(2)
Gauge("running", "Jobs", registry=registry, multiprocess_mode="livesum").inc()
Histogram("took", "Seconds", registry=registry, buckets=(1, 5)).observe(3)
"""


@pytest.fixture
def shared(tmp_path: Path) -> CollectorRegistry:
    registry = CollectorRegistry()
    Shared(registry, tmp_path)
    return registry


def test_what_the_dead_counted_stays_and_their_files_do_not(
    tmp_path: Path, shared: CollectorRegistry
) -> None:
    environment = os.environ | {"PROMETHEUS_MULTIPROC_DIR": str(tmp_path)}
    for died in range(1, 4):
        subprocess.run([sys.executable, "-c", COUNT], env=environment, check=True)
        for _ in range(2):  # the second look finds nothing more of it
            assert shared.get_sample_value("jobs_total") == 2 * died
            assert shared.get_sample_value("took_bucket", {"le": "5.0"}) == died
            assert shared.get_sample_value("took_bucket", {"le": "1.0"}) == 0
            assert shared.get_sample_value("took_sum") == 3 * died
            assert shared.get_sample_value("running") is None
    assert {path.name for path in tmp_path.iterdir()} == {"counter_ended.db", "histogram_ended.db"}


def test_those_that_live_keep_their_files(tmp_path: Path, shared: CollectorRegistry) -> None:
    with closing(_Roomy(str(tmp_path / f"counter_{os.getpid()}.db"))) as tally:
        tally.write_value('["jobs", "jobs_total", {}, "Jobs"]', 5.0, 0.0)
        assert shared.get_sample_value("jobs_total") == 5
        tally.write_value('["jobs", "jobs_total", {}, "Jobs"]', 6.0, 0.0)
        assert shared.get_sample_value("jobs_total") == 6
