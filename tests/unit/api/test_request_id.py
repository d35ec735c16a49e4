from uuid import UUID

import falcon
import pytest
from falcon.testing import TestClient
from loguru import logger

from api.middleware.request_id import RequestId


class Talkative:
    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        logger.info("handled")
        resp.media = req.context.request_id


@pytest.fixture
def http() -> TestClient:
    app = falcon.App(middleware=[RequestId()])
    app.add_route("/", Talkative())
    return TestClient(app)


@pytest.mark.parametrize("given", ["abc", "0af7651916cd43dd8448eb211c80319c", "a:b/c=d@e+f~g", "x" * 128])
def test_a_sane_id_is_taken_and_given_back(http: TestClient, given: str) -> None:
    answer = http.simulate_get("/", headers={"X-Request-Id": given})
    assert answer.headers["X-Request-Id"] == given == answer.json


@pytest.mark.parametrize("given", [None, "", "a b", "x" * 129, "\x1b[31mred", "a,b", "caf\xe9", "a\tb"])
def test_any_other_is_replaced_by_a_fresh_one(http: TestClient, given: str | None) -> None:
    answer = http.simulate_get("/", headers={} if given is None else {"X-Request-Id": given})
    assert UUID(answer.headers["X-Request-Id"]).version == 7


def test_the_log_lines_of_a_request_carry_its_id_and_later_ones_do_not(http: TestClient) -> None:
    lines: list[tuple[str, str | None]] = []
    sink = logger.add(
        lambda message: lines.append((message.record["message"], message.record["extra"].get("request_id")))
    )
    http.simulate_get("/", headers={"X-Request-Id": "abc"})
    logger.info("later")
    logger.remove(sink)
    assert lines == [("handled", "abc"), ("later", None)]
