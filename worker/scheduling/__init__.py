"""Schedules: when a recurring rule fires, and what job it makes then.

Clients say it to the API and files say it to beats, in the same words (`Definition`). Nothing here looks at
the ledger or at a clock.
"""

from worker.scheduling.definition import NAME, NO_NAME, Definition, Missed, Overlap
from worker.scheduling.schedule import LATE, Due, Schedule

__all__ = ["LATE", "NAME", "NO_NAME", "Definition", "Due", "Missed", "Overlap", "Schedule"]
