import os
import socket
import subprocess
import sys
from contextlib import closing

import pytest
from gunicorn.config import Config
from gunicorn.glogging import Logger
from gunicorn.http import errors

from api.serving import Worker

# In a process of its own, for gevent patches the whole of one. The client is no greenlet, so it never pauses.
PROGRAM = """
from gevent import monkey; monkey.patch_all()
import os, gevent, socket
from gunicorn.config import Config
from gunicorn.glogging import Logger
from api.serving import Worker

REQUESTS = 2000
start, read, write = (
    monkey.get_original(*name)
    for name in (("_thread", "start_new_thread"), ("os", "read"), ("os", "write"))
)


class Api:
    draining = False

    def __call__(self, environ, start_response):
        start_response("200 OK", [("Content-Length", "0")])
        return []


class Listener:
    def getsockname(self):
        return ("127.0.0.1", 80)


def send():
    left = memoryview(b"GET / HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n" * REQUESTS)
    while left:
        left = left[write(client, left):]


def take():
    while read(client, 65536):
        pass


config = Config()
worker = Worker(1, os.getppid(), [], None, 30, config, Logger(config))
worker.wsgi = Api()
ours, theirs = socket.socketpair()
client = theirs.detach()
os.set_blocking(client, True)
turns = []


def other():
    while worker.nr < REQUESTS:
        gevent.sleep(0.001)
        turns.append(worker.nr)


greenlet = gevent.spawn(other)
start(send, ())
start(take, ())
gevent.spawn(worker.handle, Listener(), ours, ("127.0.0.1", 1))
greenlet.join()
print(max(later - earlier for earlier, later in zip([0, *turns], turns)) < REQUESTS / 4, flush=True)
os._exit(0)
"""


def test_who_sends_request_upon_request_leaves_others_their_turn() -> None:
    ran = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "True"


@pytest.mark.parametrize(
    "name", ["InvalidResponseHeader", "InvalidResponseHeaderName", "ConfigurationProblem"]
)
def test_an_answer_that_cannot_be_sent_is_no_fault_of_the_client(name: str) -> None:
    config = Config()
    worker = Worker(1, os.getppid(), [], None, 30, config, Logger(config))
    ours, theirs = socket.socketpair()
    with ours, theirs, closing(worker.tmp):
        worker.handle_error(None, ours, None, getattr(errors, name)("X-Mine"))
        assert theirs.recv(4096).startswith(b"HTTP/1.1 500 ")
