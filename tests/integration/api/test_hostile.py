"""What a client may send that means no good: it gets one clear answer, or none, and the API lives on.

`--examples 5000` fuzzes for minutes instead of seconds.
"""

import gzip
import json
import random
import socket
import time

import msgspec
import pytest

from tests.integration.api.server import Server, Wire
from worker.settings import Settings

SUBMISSION = json.dumps({"kind": "web.fetch", "payload": {"url": "http://127.0.0.1/"}}).encode()
SMUGGLED = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
IN_TENS = 10
HEAD_LIMIT = 5.0  # seconds for the head of a request: gunicorn's `keepalive`


@pytest.fixture(scope="module")
def settings(served: Settings) -> Settings:
    return msgspec.structs.replace(served, api_max_body=100_000)


def post(key: str, *lines: str) -> bytes:
    """The head of a submission, with further lines."""
    own = f"POST /v1/jobs HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\n"
    return (own + "Content-Type: application/json\r\n" + "".join(f"{line}\r\n" for line in lines)).encode()


def exchange(server: Server, data: bytes) -> bytes:
    """Send bytes, and no more, and read to the end."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as connection:
        try:
            connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)
            return b"".join(iter(lambda: connection.recv(65536), b""))
        except (ConnectionResetError, BrokenPipeError):  # it hung up before it had read all
            return b""


CHUNKED = "Transfer-Encoding: chunked"
LENGTH = f"Content-Length: {len(SUBMISSION)}"
IN_CHUNKS = b"%x\r\n%s\r\n0\r\n\r\n" % (len(SUBMISSION), SUBMISSION)


@pytest.mark.parametrize(
    ("lines", "body"),
    [
        pytest.param([LENGTH, CHUNKED], IN_CHUNKS, id="a length and chunks"),
        pytest.param([CHUNKED, LENGTH], IN_CHUNKS, id="chunks and a length"),
        pytest.param([LENGTH, "Content-Length: 0"], SUBMISSION, id="two lengths"),
        pytest.param(["Content-Length: 5, 5"], SUBMISSION, id="a list of lengths"),
        pytest.param(["Content-Length: +5"], SUBMISSION, id="a length with a sign"),
        pytest.param(["Content-Length: 0x5"], SUBMISSION, id="a length in hexadecimal"),
        pytest.param(["Content-Length : 5"], SUBMISSION, id="a blank before the colon"),
        pytest.param([" Content-Length: 5"], SUBMISSION, id="a folded line"),
        pytest.param([CHUNKED, "Transfer-Encoding: identity"], IN_CHUNKS, id="two transfer codings"),
        pytest.param(["Transfer-Encoding: chunked, identity"], IN_CHUNKS, id="chunks, and then none"),
        pytest.param(["Transfer-Encoding: xchunked"], IN_CHUNKS, id="a coding that looks like chunks"),
        pytest.param(["Transfer-Encoding:\x0bchunked"], IN_CHUNKS, id="a control character"),
        pytest.param([CHUNKED], b"5\r\nabcdefgh\r\n0\r\n\r\n", id="a chunk longer than it says"),
        pytest.param([CHUNKED], b"-5\r\nabcde\r\n0\r\n\r\n", id="a chunk of less than nothing"),
        pytest.param([CHUNKED], b"5_0\r\nabcde\r\n0\r\n\r\n", id="a chunk's size with an underscore"),
        pytest.param([CHUNKED], b"5\nabcde\n0\n\n", id="chunks without carriage returns"),
        pytest.param([CHUNKED], b"5;\xff\r\nabcde\r\n0\r\n\r\n", id="a chunk extension that is none"),
        pytest.param([CHUNKED], b"f" * 9000 + b"\r\n", id="a chunk's size without an end"),
        pytest.param([LENGTH + "\r\nX: a\nTransfer-Encoding: chunked"], IN_CHUNKS, id="a bare line feed"),
    ],
)
def test_a_request_whose_end_is_doubtful_is_refused_and_nothing_after_it_is_read(
    server: Server, key: str, lines: list[str], body: bytes
) -> None:
    """So no proxy in front can be made to take another request for a part of this one."""
    answer = exchange(server, post(key, *lines) + b"\r\n" + body + SMUGGLED)
    assert answer.count(b"HTTP/1.1 ") == 1, answer
    assert answer.split(b" ", 2)[1] in (b"400", b"431", b"501"), answer
    assert b"application/problem+json" in answer
    assert b'"alive"' not in answer


def test_a_compressed_body_is_refused_unread(server: Server, key: str) -> None:
    bomb = gzip.compress(b" " * 10_000_000)
    with Wire(server.port) as wire:
        wire.send(post(key, "Content-Encoding: gzip", f"Content-Length: {len(bomb)}") + b"\r\n" + bomb)
        assert wire.answer().status == 415


@pytest.mark.parametrize(
    ("body", "status"),
    [
        pytest.param(b"[" * 99_000, 400, id="deep"),
        pytest.param(b'{"kind":' * 12_000, 400, id="deep objects"),
        pytest.param(
            b'{"kind":"web.fetch","payload":' + b'{"headers":' * 8_000 + b"{}" + b"}" * 8_001,
            400,
            id="a deep payload",
        ),
        pytest.param(b'{"kind": "web.fetch", "payload": ' + b"9" * 90_000 + b"}", 422, id="a long number"),
        pytest.param(b'{"kind": "' + b"\\u0000" * 10_000 + b'"}', 422, id="NULs"),
        pytest.param(b'{"kind": "web.fetch", "tags": [' + b'"a",' * 20_000 + b'"a"]}', 422, id="many tags"),
        pytest.param(b" " * 200_000, 413, id="enormous"),
    ],
)
def test_deep_and_enormous_json_is_refused(server: Server, key: str, body: bytes, status: int) -> None:
    with Wire(server.port) as wire:
        headers = {"Authorization": f"Bearer {key}", "Content_Type": "application/json"}
        wire.request("POST", "/v1/jobs", body=body, **headers)
        answer = wire.answer()
    assert answer.status == status
    assert len(answer.body) < 5_000  # what was sent is not sent back


def test_who_sends_the_head_of_a_request_slowly_is_cut_off(server: Server) -> None:
    began = time.monotonic()
    with Wire(server.port) as wire:
        wire.send(b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-Slow: ")
        with pytest.raises(OSError, match=r"timed out|reset|Broken pipe|hung up"):  # noqa: PT012 - it drips
            while time.monotonic() < began + 4 * HEAD_LIMIT:
                wire.send(b"a")
                if wire.readable(0.2):
                    raise OSError("hung up")
    assert time.monotonic() - began < 3 * HEAD_LIMIT


def test_raw_bytes_never_make_it_fail_hang_or_die(server: Server, key: str, examples: int) -> None:
    fuzzer = Fuzzer(key, seed=20261122)
    for number in range(examples * IN_TENS):
        data = fuzzer.request()
        answer = exchange(server, data)
        assert not answer or answer.startswith(b"HTTP/1."), (number, data, answer)
        assert b" 500 " not in answer.split(b"\r\n", 1)[0], (number, data, answer)
    assert server.call("GET", "/healthz").status == 200
    log = server.log.read_text()
    assert '"request_failed"' not in log
    assert "Traceback" not in log
    assert log.count("Booting worker") == 1
    assert key not in log


class Fuzzer:
    """Makes requests that are nearly good ones; the same seed makes the same."""

    def __init__(self, key: str, seed: int) -> None:
        self._chance = random.Random(seed)  # noqa: S311 - not for secrets
        unknown = b"0190a7c0-0000-7000-8000-000000000000"
        self._good = [
            post(key, LENGTH) + b"\r\n" + SUBMISSION,
            post(key, CHUNKED, 'Idempotency-Key: "a"', "Prefer: wait=0") + b"\r\n" + IN_CHUNKS,
            b"GET /v1/jobs?state=queued&page_size=2&tag=%C3%A4 HTTP/1.1\r\nHost: x\r\n"
            b"Authorization: Bearer " + key.encode() + b'\r\nIf-None-Match: "a", W/"b"\r\n\r\n',
            b"GET /v1/artifacts/" + unknown + b" HTTP/1.1\r\nHost: x\r\n"
            b"Authorization: Bearer " + key.encode() + b"\r\nRange: bytes=0-9\r\n\r\n",
            b"POST /v1/artifacts?name=a.bin HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer "
            + key.encode()
            + b"\r\nContent-Length: 9\r\nContent-Type: text/plain\r\n\r\nsome data",
            SMUGGLED * 3,
        ]
        self._pieces = [b"\r\n", b"\n", b"\0", b"\xff", b":", b" ", b"%", b"%00", b"%2e%2e/", b"{", b'"']
        self._pieces += [b"\r\n\r\n", b"Content-Length: 99\r\n", b"Expect: 100-continue\r\n", b"HTTP/1.0"]
        self._pieces += [b"9" * 5000, b"\xed\xa0\x80", b"Transfer-Encoding: chunked\r\n", b"Upgrade: h2c\r\n"]

    def request(self) -> bytes:
        """A request with some mistakes."""
        data = bytearray(self._chance.choice(self._good))
        for _ in range(self._chance.randint(1, 5)):
            self._spoil(data)
        return bytes(data)

    def _spoil(self, data: bytearray) -> None:
        at = self._chance.randrange(len(data) + 1)
        match self._chance.randrange(5):
            case 0:
                data[at:at] = self._chance.choice(self._pieces)
            case 1:
                del data[at : at + self._chance.randint(1, 8)]
            case 2:
                data[at : at + 1] = self._chance.randbytes(1)
            case 3:
                del data[at:]
            case _:
                data[at:at] = data[at : at + self._chance.randint(1, 40)]
