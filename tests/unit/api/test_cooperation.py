import subprocess
import sys

import pytest

# Each in a process of its own, for gevent patches the whole of one.
PATCHED = "from gevent import monkey; monkey.patch_all(); import gevent, socket, time, os, tempfile\n"

SILENT_SERVER = """
import psycopg2
from api import cooperation
assert cooperation.is_on()
cooperation.teach_psycopg2(connecting=0.2, answering=30)
silent = socket.create_server(("127.0.0.1", 0))
turns = []
gevent.spawn(lambda: [turns.append(gevent.sleep(0.01)) for _ in range(10)])
try:
    psycopg2.connect(host="127.0.0.1", port=silent.getsockname()[1], connect_timeout=30)
except psycopg2.OperationalError as error:
    print(error, len(turns))
"""

SLOW_DISK = """
from api import cooperation
native_sleep = monkey.get_original("time", "sleep")
turns = []
gevent.spawn(lambda: [turns.append(gevent.sleep(0.01)) for _ in range(10)])
cooperation.apart(native_sleep, 0.3)
print("written", len(turns))
"""

LONG_COMPUTATION = """
from api import cooperation
native_sleep = monkey.get_original("time", "sleep")
turns = []
gevent.spawn(lambda: [turns.append(gevent.sleep(0.001)) for _ in range(10)])
for _ in range(20):
    native_sleep(0.002)
    cooperation.breathe()
print("computed", len(turns))
"""


@pytest.mark.parametrize(
    ("program", "said"),
    [
        (SILENT_SERVER, "the server was silent for 0.2 s 10"),
        (SLOW_DISK, "written 10"),
        (LONG_COMPUTATION, "computed 10"),
    ],
)
def test_what_waits_elsewhere_or_computes_for_long_lets_other_requests_go_on(program: str, said: str) -> None:
    ran = subprocess.run(
        [sys.executable, "-c", PATCHED + program], capture_output=True, text=True, check=True
    )
    assert ran.stdout.strip() == said


def test_an_unpatched_process_is_not_cooperative() -> None:
    program = "from api import cooperation; print(cooperation.is_on())"
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "False"
