import msgspec
import pytest

from ops.supervisor.status import Addresses, ProcessState, ProcessStatus, Status
from ops.supervisor.targets import targets


def process(role: str, name: str, port: int | None) -> ProcessStatus:
    return ProcessStatus(
        role=role, name=name, pid=2, state=ProcessState.RUNNING, started=1.5, metrics_port=port
    )


STATUS = Status(
    pid=1,
    urls=Addresses(api="http://10.0.0.7:8080", flower="", database="", broker=""),
    key_file="/home/key",
    processes=(
        process("api", "api", 20000),
        process("worker", "worker-web", 20001),
        process("flower", "flower", None),
    ),
)


def test_each_process_with_metrics_is_a_target_under_its_role_and_name() -> None:
    assert msgspec.json.decode(msgspec.json.encode(targets(STATUS, "127.0.0.1"))) == [
        {"targets": ["10.0.0.7:20000"], "labels": {"job": "api", "name": "api"}},
        {"targets": ["127.0.0.1:20001"], "labels": {"job": "worker", "name": "worker-web"}},
    ]


@pytest.mark.parametrize(
    ("listens", "asked"),
    [("", "127.0.0.1:20001"), ("::", "[::1]:20001"), ("10.0.0.8", "10.0.0.8:20001")],
)
def test_a_process_that_listens_everywhere_is_asked_here(listens: str, asked: str) -> None:
    assert targets(STATUS, listens)[1].targets == (asked,)
