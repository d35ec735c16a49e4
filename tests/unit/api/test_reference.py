import base64
import hashlib
import re
from html.parser import HTMLParser

import falcon.testing
import pytest

from api.applications import App
from api.reference import html


class Page(HTMLParser):
    """What a page is made of."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.links: set[str] = set()
        self.ids: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = {name: value or "" for name, value in attrs}
        self.tags.add(tag)
        self.links |= {named[name] for name in ("href", "src") if name in named}
        self.ids |= {named["id"]} if "id" in named else set()


@pytest.fixture(scope="module")
def answer(app: App) -> falcon.testing.Result:
    return falcon.testing.TestClient(app).simulate_get("/docs")


def test_the_page_shows_every_operation_and_every_kind(app: App, answer: falcon.testing.Result) -> None:
    document = falcon.testing.TestClient(app).simulate_get("/openapi.json").json
    page = Page(answer.text)
    assert answer.status_code == 200
    assert answer.headers["Content-Type"].startswith("text/html")
    operations = {
        operation["operationId"]
        for item in document["paths"].values()
        for method, operation in item.items()
        if method != "parameters"
    }
    assert page.ids >= {f"callback-{name}" for name in document["webhooks"]}
    assert page.ids >= operations | {f"schema-{name}" for name in document["components"]["schemas"]}


def test_the_page_tells_how_to_submit_a_job_of_any_kind(app: App, answer: falcon.testing.Result) -> None:
    schemas = falcon.testing.TestClient(app).simulate_get("/openapi.json").json["components"]["schemas"]
    submission = answer.text.partition('id="schema-Submission"')[2].partition("</section>")[0]
    form = schemas["Submission"]["oneOf"][0]["$ref"].rpartition("/")[2]
    assert {"kind", "payload", "unique_key", "after"} <= schemas[form]["properties"].keys()
    for field in schemas[form]["properties"]:
        assert f"<code>{field}</code>" in submission
    assert "<code>Authorization: Bearer jy_…</code>" in answer.text


def test_the_page_begins_with_a_first_request_and_shows_a_chain(answer: falcon.testing.Result) -> None:
    start, _, rest = answer.text.partition('id="operations"')
    assert "Start here" in start
    assert "curl -s $API/v1/jobs -H" in start
    assert "/artifacts/body" in start
    batches = rest.partition('id="submitBatch"')[2].partition("</section>")[0]
    assert '"$from": "fetch"' in batches
    assert '"job_ids"' in batches


def test_every_link_leads_somewhere_on_the_page(answer: falcon.testing.Result) -> None:
    page = Page(answer.text)
    assert {link.removeprefix("#") for link in page.links if link.startswith("#")} <= page.ids
    assert {link for link in page.links if not link.startswith("#")} == {"/openapi.json"}


def test_a_browser_may_load_nothing_for_it_but_its_own_style(answer: falcon.testing.Result) -> None:
    style = re.search(r"<style>(.*?)</style>", answer.text, re.DOTALL)
    assert style is not None
    digest = base64.b64encode(hashlib.sha256(style[1].encode()).digest()).decode()
    policy = answer.headers["Content-Security-Policy"]
    assert f"style-src 'sha256-{digest}'" in policy
    assert "default-src 'none'" in policy
    assert not Page(answer.text).tags & {"script", "iframe", "img", "link", "form"}


def test_words_of_a_kind_are_text_and_never_markup() -> None:
    document = {
        "info": {"title": "<b>", "description": "one <script>alert(1)</script>\n\ntwo `a<b`"},
        "paths": {},
        "components": {"schemas": {}},
    }
    page = html(document).decode()
    assert "<script" not in page
    assert "<p>two <code>a&lt;b</code></p>" in page
