"""The pipeline: a CSV on the web becomes rows, reports, and a mail that carries one; in one request.

What it made is looked at from outside: the sums of the report are held against the CSV, and the mail against
the PDF.
"""

import csv
import email
import email.policy
import io
import os
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

from api.client import Client, Job
from ops.tour.scene import WAIT, Scene, until
from ops.tour.site import SlowSite

DEFINITIONS = Path(__file__).parent / "definitions"
READER = "reader@example.org"

_PDF = b"%PDF-"
_XLSX = b"PK"


class Failed(RuntimeError):  # noqa: N818 - reads as what it is
    """A job of the pipeline did not succeed, so the next one has nothing to work on."""


class Pipeline:
    """Six jobs that come after one another, submitted in one request to a running platform.

    Args:
        client: submits them.
        site: serves the CSV.
        weather: the CSV.
        home: of the platform; what was made is put into its folder `made`.
    """

    def __init__(self, client: Client, site: SlowSite, weather: bytes, home: Path) -> None:
        self._client = client
        self._site = site
        self._weather = weather
        self._mails = home / "mail"
        self._made = home / "made"

    def scenes(self) -> Iterator[Scene]:
        """Run it, one scene for each thing that it makes; a failure ends it."""
        self._made.mkdir(exist_ok=True)
        try:
            jobs = self._run()
            yield self._fetched(jobs["fetch"])
            yield self._loaded(jobs["load"])
            pdf = self._saved(jobs["pdf"], _PDF)
            yield _shown("report: a page with a chart, as PDF", pdf)
            yield _shown("report: the same as XLSX", self._saved(jobs["xlsx"], _XLSX))
            yield self._summed(self._saved(jobs["csv"], b""))
            yield self._sent(pdf)
        except Failed as error:
            yield Scene("the pipeline", "jobs that succeed", str(error), good=False)

    def _run(self) -> dict[str, Job]:
        """One request; each job begins when those that it names have succeeded."""
        accepted = self._client.batch(self._steps())
        self._client.wait_batch(accepted.id, WAIT)
        jobs = {name: self._client.job(id_) for name, id_ in (accepted.names or {}).items()}
        for name, job in jobs.items():
            if job.state != "succeeded":
                raise Failed(f"{name} is {job.state}: {job.error.message if job.error else ''}")
        return jobs

    def _steps(self) -> list[dict[str, Any]]:
        body = {"$from": "fetch", "artifact": "body"}
        pdf = {"$from": "pdf", "artifact": "weather.pdf"}
        load = {"source": "warehouse", "table": "weather", "format": "csv", "mode": "replace"}
        values = {"report": "Weather in Seattle", "days": {"$from": "load", "result": "/rows_applied"}}
        attachment = {"name": "weather.pdf", "content_type": "application/pdf", "artifact": pdf}
        mail = {"to": [READER], "template": "report_ready", "variables": values, "attachments": [attachment]}
        return [
            _step("fetch", "web.fetch", {"url": f"{self._site.url}/weather.csv"}),
            _step("table", "database.execute", {"statement": "make_weather"}),
            _step("load", "database.load", load | {"artifact": body}, "fetch", "table"),
            *(
                _step(form, "report.render", {"report": "weather", "format": form}, "load")
                for form in ("pdf", "xlsx", "csv")
            ),
            _step("mail", "email.send", mail, "pdf", "load"),
        ]

    def _fetched(self, job: Job) -> Scene:
        size = job.result["bytes"]
        return Scene(
            "fetch: a CSV from the web",
            f"{len(self._weather)} bytes",
            f"{size} bytes",
            size == len(self._weather),
        )

    def _loaded(self, job: Job) -> Scene:
        rows, applied = len(self._rows()), job.result["rows_applied"]
        return Scene("load: its rows into a table", f"{rows} rows", f"{applied} rows", applied == rows)

    def _saved(self, job: Job, begins: bytes) -> Path:
        name = job.artifacts[0].name
        content = self._client.artifact(job.id, name)
        if not content.startswith(begins):
            raise Failed(f"{name} is not what its name says")
        path = self._made / name
        path.write_bytes(content)
        return path

    def _summed(self, path: Path) -> Scene:
        """The report's sums, as its CSV has them, against those of the data itself."""
        shown = sum(
            (Decimal(row[2]) for row in list(csv.reader(io.StringIO(path.read_text())))[1:]), Decimal()
        )
        rain = sum((Decimal(row["precipitation"]) for row in self._rows()), Decimal())
        return Scene("its sums against the CSV's", f"{rain} mm of rain", f"{shown} mm of rain", shown == rain)

    def _sent(self, pdf: Path) -> Scene:
        until(lambda: any(self._mails.glob("*.eml")))
        (stored,) = self._mails.glob("*.eml")
        carried = _attachment(stored) == pdf.read_bytes()
        return Scene("mail: with the PDF attached", "a mail that carries it", _shown_path(stored), carried)

    def _rows(self) -> list[dict[str, str]]:
        return list(csv.DictReader(io.StringIO(self._weather.decode())))


def _step(name: str, kind: str, payload: dict[str, Any], *after: str) -> dict[str, Any]:
    return {"name": name, "kind": kind, "payload": payload, "after": after}


def _shown(title: str, path: Path) -> Scene:
    return Scene(title, "a file", _shown_path(path), path.stat().st_size > 0)


def _shown_path(path: Path) -> str:
    """As short as it can be said from here."""
    return min(str(path), os.path.relpath(path), key=len)


def _attachment(path: Path) -> bytes | None:
    message = email.message_from_bytes(path.read_bytes(), policy=email.policy.default)
    contents = [part.get_content() for part in message.iter_attachments()]
    return contents[0] if contents and isinstance(contents[0], bytes) else None
