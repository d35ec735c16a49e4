"""The tour itself: bring a platform up, do five things on it, judge each, take it down."""

import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Column, Table

from api.client import Client, Job
from ops.supervisor import Status
from ops.tour import dataset
from ops.tour.guest import Guest, NotUp
from ops.tour.pipeline import DEFINITIONS, Pipeline
from ops.tour.scene import WAIT, Scene, until
from ops.tour.site import SlowSite, delay
from worker.settings import Settings

_TICK = 2  # seconds between two firings of the tour's schedule


def run(settings: Settings, pages: int) -> int:
    """Run the tour; returns the exit status, 0 only if everything came out right."""
    console = Console()
    home = settings.home_path.with_name(settings.home_path.name + "-demo")
    shutil.rmtree(home, ignore_errors=True)
    began = time.monotonic()
    try:
        contents, weather = dataset.pages(pages), dataset.weather()
        with SlowSite(contents, {"/weather.csv": weather}) as site, _schedule(site.url) as schedules:
            with Guest(home, _environment(schedules)) as guest, console.status("starting the platform …"):
                status = guest.ready()
                console.print(f"platform up after {time.monotonic() - began:.1f} s: API {status.urls.api}")
                with Client(status.urls.api, _key(status), connections=pages) as client:
                    scenes = _scenes(console, client, site, contents)
                    scenes += _follow(console, Pipeline(client, site, weather, home))
            console.print("platform stopped")
    except (NotUp, dataset.Missing) as error:
        console.print(f"[red]the tour could not begin:[/] {error}")
        return 1
    console.print(_table(scenes))
    return 0 if all(scene.good for scene in scenes) else 1


def _scenes(console: Console, client: Client, site: SlowSite, contents: list[bytes]) -> list[Scene]:
    scenes = [_fetch_pages(console, client, site, contents)]
    for play in (_retried, _cancelled, _fired):
        with console.status(play.__doc__ or ""):
            scenes.append(play(client, site))
    return scenes


def _follow(console: Console, pipeline: Pipeline) -> list[Scene]:
    """The pipeline, scene by scene."""
    scenes = []
    with console.status("fetch → load → report → mail …") as status:
        for scene in pipeline.scenes():
            scenes.append(scene)
            status.update(scene.title)
    return scenes


def _fetch_pages(console: Console, client: Client, site: SlowSite, contents: list[bytes]) -> Scene:
    def fetch(page: int) -> Job:
        return client.run("web.fetch", {"url": f"{site.url}/pages/{page}"}, WAIT)

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    jobs: dict[int, Job] = {}
    with Progress(*columns, console=console) as progress, ThreadPoolExecutor(len(contents)) as pool:
        bar = progress.add_task("pages fetched", total=len(contents))
        began = time.monotonic()
        futures = {pool.submit(fetch, page): page for page in range(len(contents))}
        for future in as_completed(futures):
            jobs[futures[future]] = future.result()
            progress.advance(bar)
        seconds = time.monotonic() - began
    in_turn = sum(delay(page) for page in range(len(contents)))
    console.print(f"[bold]{len(contents)} pages in {seconds:.2f} s[/], one after the other: {in_turn} s")
    right = sum(_is_right(client, jobs[page], body) for page, body in enumerate(contents))
    return Scene(
        f"{len(contents)} slow pages at once",
        "each fetched, digests as published",
        f"{right} right, in {seconds:.2f} s",
        right == len(contents),
    )


def _is_right(client: Client, job: Job, body: bytes) -> bool:
    if job.state != "succeeded" or job.result["sha256"] != dataset.digest(body):
        return False
    return client.artifact(job.id, "body") == body


def _retried(client: Client, site: SlowSite) -> Scene:
    """Watch a page that refuses twice."""
    job = client.run("web.fetch", {"url": f"{site.url}/flaky"}, WAIT)
    found = f"{job.state} at attempt {job.attempt}"
    return Scene("a failure, retried", "succeeded at attempt 3", found, found == "succeeded at attempt 3")


def _cancelled(client: Client, site: SlowSite) -> Scene:
    """Cancel the fetch of a page that never ends."""
    job = client.submit("web.fetch", {"url": f"{site.url}/endless"})
    until(lambda: site.visits["/endless"] > 0)
    client.cancel(job.id)
    found = client.wait(job.id, WAIT).state
    return Scene("a running job, cancelled", "cancelled", found, found == "cancelled")


def _fired(client: Client, site: SlowSite) -> Scene:  # noqa: ARG001 - scenes are called alike
    """Wait for a schedule that fires every two seconds."""
    seen = until(lambda: site.visits["/tick"] > 1)
    return Scene(
        f"a schedule, every {_TICK} s", "fired, and its job ran", f"{site.visits['/tick']} runs", seen
    )


@contextmanager
def _schedule(url: str) -> Iterator[Path]:
    """A folder with one schedule, as a user would add it."""
    with tempfile.TemporaryDirectory(prefix="jobyard-tour-") as folder:
        (Path(folder) / "tick.toml").write_text(
            f'kind = "web.fetch"\ncron = "*/{_TICK} * * * * *"\n\n[payload]\nurl = "{url}/tick"\n'
        )
        yield Path(folder)


def _environment(schedules: Path) -> dict[str, str]:
    """A platform that may fetch from loopback, on ports that are free, whatever else runs here."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("JOBYARD_")}
    return kept | {
        "JOBYARD_WEB_ALLOW": "127.0.0.0/8",
        "JOBYARD_API_PORT": "0",
        "JOBYARD_FLOWER_PORT": "0",
        "JOBYARD_SCHEDULES": str(schedules),
        "JOBYARD_DEFINITIONS": str(DEFINITIONS),
    }


def _key(status: Status) -> str:
    return Path(status.key_file).read_text().strip()


def _table(scenes: list[Scene]) -> Table:
    found = Column("found", overflow="fold")  # a path is there to be copied
    table = Table(Column("what", max_width=20), Column("expected", max_width=13), found, "", title="The tour")
    for scene in scenes:
        table.add_row(
            scene.title, scene.expected, scene.found, "[green]ok[/]" if scene.good else "[red]not ok[/]"
        )
    return table
