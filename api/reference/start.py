"""The first request, from a shell: what a reader wants to try before reading on."""

from collections.abc import Iterator
from xml.etree.ElementTree import Element

from api.reference.elements import element, prose

_ASK = """\
API=http://127.0.0.1:8080
KEY=jy_…

JOB=$(curl -s $API/v1/jobs -H "Authorization: Bearer $KEY" \\
    -H 'Content-Type: application/json' -H 'Idempotency-Key: first-job' \\
    -d '{"kind": "web.fetch", "payload": {"url": "https://example.com/"}}' \\
    | python3 -c 'import json, sys; print(json.load(sys.stdin)["id"])')
curl -s $API/v1/jobs/$JOB -H "Authorization: Bearer $KEY" -H 'Prefer: wait=10'
curl -s $API/v1/jobs/$JOB/artifacts/body -H "Authorization: Bearer $KEY"\
"""
_TOLD = (
    "The first answer is 202 and the job; the second comes when the job has ended, or after ten seconds;"
    " the third is the file that it made. Every kind of job is submitted like this one, with a payload of its"
    " own; many at once, and chains of which one job takes what another made, are a batch."
)


def start() -> Iterator[Element]:
    """How to submit a job, wait for it, and read what it made."""
    yield element("h2", "Start here", id="start")
    yield element("pre", element("code", _ASK))
    yield from prose(_TOLD)
