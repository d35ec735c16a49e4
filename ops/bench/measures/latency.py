"""From a submission to its result in the client's hand, on an idle platform with `Prefer: wait`.

The tutorial's client asks every 5 milliseconds. Both have their API and their worker, and nothing else to do.
"""

import http.client
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from functools import partial

import msgspec

from ops.bench.course import Course, Invalid
from ops.bench.crowd import Address
from ops.bench.figures import Round, quantile
from ops.bench.ground import Ground, ground
from ops.bench.rivals import tutor
from ops.bench.turns import Contender, turns
from worker.contract.queues import EMAIL, REPORT

KIND = "bench.single"

_PAUSE = 0.005  # seconds between two looks of the tutorial's client
_PATIENCE = 30.0
_WARM = 20  # jobs that do not count


class Answer(msgspec.Struct):
    """What either API says of a job."""

    id: str
    state: str
    result: msgspec.Raw = msgspec.Raw(b"null")


def measure(course: Course) -> list[Round]:
    """Let both answer in turns; our queue with processes, and our queue with threads."""
    with ground(course) as place, ExitStack() as stack:
        stack.enter_context(place.api())
        stack.enter_context(place.role("beat"))
        contenders: dict[str, Contender] = {}
        for queue in (REPORT, EMAIL):
            stack.enter_context(place.worker(queue.name))
            contenders[f"jobyard {queue.pool}"] = partial(_ours, course, place, queue.name)
        if course.wanted("tutorial"):
            address = stack.enter_context(tutor.api(course, place))
            stack.enter_context(tutor.worker(course, place))
            contenders["tutorial"] = lambda: _tutorial(course, address)
        return turns(course, contenders)


class Asking:
    """A client with one kept connection."""

    def __init__(self, address: Address, headers: Mapping[str, str]) -> None:
        self._connection = http.client.HTTPConnection(*address, timeout=_PATIENCE)
        self._headers = headers

    def ask(self, method: str, path: str, body: bytes | None = None) -> bytes:
        """Ask, and read the answer.

        Raises:
            Invalid: it is no good one.
        """
        self._connection.request(method, path, body, self._headers)
        answer = self._connection.getresponse()
        content = answer.read()
        if answer.status not in {200, 202}:
            raise Invalid(f"answered {answer.status}: {content[:300].decode(errors='replace')}")
        return content

    def close(self) -> None:
        """Hang up."""
        self._connection.close()


def _ours(course: Course, place: Ground, queue: str) -> Mapping[str, float]:
    headers = {
        "Authorization": f"Bearer {place.key}",
        "Content-Type": "application/json",
        "Prefer": f"wait={_PATIENCE:g}",
    }
    asking = Asking(place.api_address, headers)

    def one(number: int) -> bytes:
        wish = {"kind": KIND, "queue": queue, "payload": {"number": number}}
        answer = msgspec.json.decode(asking.ask("POST", "/v1/jobs", msgspec.json.encode(wish)), type=Answer)
        _require(answer.state == "succeeded", f"a job was {answer.state}")
        return bytes(answer.result)

    def right(number: int) -> bytes:
        return b'{"number":%d}' % number

    try:
        return timed(course, one, right)
    finally:
        asking.close()


def _tutorial(course: Course, address: Address) -> Mapping[str, float]:
    asking = Asking(address, {"Content-Type": "application/json"})

    def one(number: int) -> bytes:
        wish = {"kind": KIND, "payload": {"number": number}}
        submitted = msgspec.json.decode(asking.ask("POST", "/v1/jobs", msgspec.json.encode(wish)))
        give_up_at = time.monotonic() + _PATIENCE
        while time.monotonic() < give_up_at:
            time.sleep(_PAUSE)
            answer = msgspec.json.decode(asking.ask("GET", f"/v1/jobs/{submitted['id']}"), type=Answer)
            if answer.state == "SUCCESS":
                return bytes(answer.result)
        raise Invalid("a task did not end")

    def right(number: int) -> bytes:
        return b"[%d," % number

    try:
        return timed(course, one, right)
    finally:
        asking.close()


def timed(course: Course, one: Callable[[int], bytes], right: Callable[[int], bytes]) -> Mapping[str, float]:
    """How long each of many jobs takes, one after the other.

    Args:
        course: says how many.
        one: runs a job with a number, and returns its result.
        right: how the right result of that number begins.

    Raises:
        Invalid: a result is wrong.
    """
    latencies = []
    for number in range(_WARM + course.scale(300, 20)):
        began = time.perf_counter()
        result = one(number)
        latencies.append(1000 * (time.perf_counter() - began))
        _require(result.replace(b" ", b"").startswith(right(number)), f"job {number} gave {result!r}")
    counted = latencies[_WARM:]
    return {"p50 ms": quantile(counted, 0.5), "p99 ms": quantile(counted, 0.99)}


def _require(fact: bool, complaint: str) -> None:  # noqa: FBT001 - a condition
    if not fact:
        raise Invalid(complaint)
