"""The files of schedules."""

from collections.abc import Iterator
from pathlib import Path

from ops.doctor.finding import Finding
from schedules import files
from worker import catalog
from worker.contract import KindError
from worker.enqueue import Enqueuer
from worker.settings import Settings


def examine_schedules(settings: Settings) -> Iterator[Finding]:
    """Read the schedules as a beat does when it starts."""
    folders = [files.SHIPPED, *([Path(settings.schedules)] if settings.schedules else [])]
    try:
        found = files.load(folders, Enqueuer(catalog.load(settings.kind_packages)))
    except (files.ScheduleError, KindError) as error:
        yield Finding("schedules", good=False, text=str(error))
    else:
        yield Finding("schedules", good=True, text=f"{len(found)} in order")
