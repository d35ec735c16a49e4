import os
import socket
import subprocess
import sys

import psutil
import pytest

from ops.embedded import ports


def test_draws_different_ports_that_can_be_listened_on() -> None:
    drawn = ports.free_ports(20)
    assert len(set(drawn)) == 20
    assert all(ports.is_free(port) for port in drawn)


def test_what_one_drew_another_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    (drawn,) = ports.free_ports(1)
    monkeypatch.setattr(ports, "_RANGE", range(drawn, drawn + 1))
    assert ports.is_free(drawn)
    with pytest.raises(OSError, match="no 1 free ports"):
        ports.free_ports(1)


def test_a_port_with_a_listener_is_open_and_not_free() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert not ports.is_free(port)
        assert ports.is_open(port)
    assert ports.is_free(port)
    assert not ports.is_open(port)


def test_says_so_when_there_are_none_left(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        taken = server.getsockname()[1]
        monkeypatch.setattr(ports, "_RANGE", range(taken, taken + 1))
        with pytest.raises(OSError, match="no 1 free ports"):
            ports.free_ports(1)


def test_who_listens_is_found_though_a_child_of_its_ends_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    child = psutil.Process(gone.pid)
    gone.wait()
    monkeypatch.setattr(psutil.Process, "children", lambda *_, **__: [child])
    with socket.create_server(("127.0.0.1", 0)) as server:
        assert ports.listens(os.getpid(), server.getsockname()[1])
