"""The pipeline: a CSV on the web becomes rows, a report, and a mail that carries it; each step is a job.

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

from api.client import Client
from ops.tour.scene import WAIT, Scene, until
from ops.tour.site import SlowSite

DEFINITIONS = Path(__file__).parent / "definitions"
READER = "reader@example.org"

_PDF = b"%PDF-"
_XLSX = b"PK"


class Failed(RuntimeError):  # noqa: N818 - reads as what it is
    """A job of the pipeline did not succeed, so the next one has nothing to work on."""


class Pipeline:
    """Five jobs in a row, on a running platform.

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
        """Run it, one scene a job; what comes after a failure is left out."""
        self._made.mkdir(exist_ok=True)
        try:
            fetched = self._run("web.fetch", {"url": f"{self._site.url}/weather.csv"})
            yield self._fetched(fetched)
            yield self._loaded(fetched)
            yield from self._reports()
        except Failed as error:
            yield Scene("the pipeline", "five jobs that succeed", str(error), good=False)

    def _fetched(self, job: dict[str, Any]) -> Scene:
        size = job["result"]["bytes"]
        return Scene(
            "fetch: a CSV from the web",
            f"{len(self._weather)} bytes",
            f"{size} bytes",
            size == len(self._weather),
        )

    def _loaded(self, fetched: dict[str, Any]) -> Scene:
        self._run("database.execute", {"statement": "make_weather"})
        load = {"source": "warehouse", "table": "weather", "format": "csv", "mode": "replace"}
        job = self._run("database.load", load | {"artifact": fetched["artifacts"][0]["id"]})
        rows, applied = len(self._rows()), job["result"]["rows_applied"]
        return Scene("load: its rows into a table", f"{rows} rows", f"{applied} rows", applied == rows)

    def _reports(self) -> Iterator[Scene]:
        pdf = self._render("pdf", _PDF)
        yield self._shown("report: a page with a chart, as PDF", pdf)
        yield self._shown("report: the same as XLSX", self._render("xlsx", _XLSX))
        yield self._summed()
        yield self._sent(pdf)

    def _render(self, kind: str, begins: bytes) -> tuple[Path, str]:
        job = self._run("report.render", {"report": "weather", "format": kind})
        name = job["artifacts"][0]["name"]
        content = self._client.artifact(job["id"], name)
        if not content.startswith(begins):
            raise Failed(f"{name} is no {kind.upper()}")
        path = self._made / name
        path.write_bytes(content)
        return path, job["artifacts"][0]["id"]

    def _shown(self, title: str, made: tuple[Path, str]) -> Scene:
        return Scene(title, "a file", _shown_path(made[0]), made[0].stat().st_size > 0)

    def _summed(self) -> Scene:
        """The report's sums, as its CSV has them, against those of the data itself."""
        path, _ = self._render("csv", b"")
        shown = sum((Decimal(row[2]) for row in list(csv.reader(path.open(newline="")))[1:]), Decimal())
        rain = sum((Decimal(row["precipitation"]) for row in self._rows()), Decimal())
        return Scene("its sums against the CSV's", f"{rain} mm of rain", f"{shown} mm of rain", shown == rain)

    def _sent(self, pdf: tuple[Path, str]) -> Scene:
        path, artifact = pdf
        attachment = {"name": path.name, "content_type": "application/pdf", "artifact": artifact}
        values = {"report": "Weather in Seattle", "days": len(self._rows())}
        mail = {"to": [READER], "template": "report_ready", "variables": values, "attachments": [attachment]}
        self._run("email.send", mail)
        until(lambda: any(self._mails.glob("*.eml")))
        (stored,) = self._mails.glob("*.eml")
        carried = _attachment(stored) == path.read_bytes()
        return Scene("mail: with the PDF attached", "a mail that carries it", _shown_path(stored), carried)

    def _run(self, kind: str, payload: dict[str, Any]) -> dict[str, Any]:
        job = self._client.run(kind, payload, WAIT)
        if job["state"] != "succeeded":
            reason = (job["error"] or {}).get("message", "")
            raise Failed(f"{kind} is {job['state']}: {reason}")
        return job

    def _rows(self) -> list[dict[str, str]]:
        return list(csv.DictReader(io.StringIO(self._weather.decode())))


def _shown_path(path: Path) -> str:
    """As short as it can be said from here."""
    return min(str(path), os.path.relpath(path), key=len)


def _attachment(path: Path) -> bytes | None:
    message = email.message_from_bytes(path.read_bytes(), policy=email.policy.default)
    contents = [part.get_content() for part in message.iter_attachments()]
    return contents[0] if contents and isinstance(contents[0], bytes) else None
