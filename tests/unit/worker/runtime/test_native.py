import threading
import time

import pytest

from worker.runtime import native
from worker.runtime.native import Bell


def test_a_bell_wakes_its_waiter() -> None:
    bell = Bell()
    threading.Timer(0.05, bell.ring).start()
    assert bell.wait(10)


def test_a_bell_that_rang_is_heard_until_it_is_cleared() -> None:
    bell = Bell()
    bell.ring()
    bell.ring()
    assert bell.wait(0)
    assert bell.wait(0)
    bell.clear()
    assert not bell.wait(0)


def test_a_bell_that_nobody_rings_lets_the_time_pass() -> None:
    began = time.monotonic()
    assert not Bell().wait(0.05)
    assert time.monotonic() - began >= 0.05


def test_a_bell_never_blocks_who_rings_it() -> None:
    bell = Bell()
    for _ in range(100_000):  # more than a pipe holds
        bell.ring()
    bell.clear()
    assert not bell.wait(0)


def test_without_gevent_a_function_is_called_in_the_callers_thread() -> None:
    assert not native.under_gevent()
    assert native.caller()(threading.get_ident) == threading.get_ident()


def test_an_error_of_a_called_function_reaches_its_caller() -> None:
    def fail() -> None:
        raise ValueError("mine")

    with pytest.raises(ValueError, match="mine"):
        native.caller()(fail)


def test_a_started_function_runs_on_a_thread_that_does_not_keep_the_process() -> None:
    threads: list[threading.Thread] = []
    done = threading.Event()

    def run() -> None:
        threads.append(threading.current_thread())
        done.set()

    native.start(run, "sample")
    assert done.wait(10)
    assert threads[0] is not threading.current_thread()
    assert (threads[0].daemon, threads[0].name) == (True, "sample")
