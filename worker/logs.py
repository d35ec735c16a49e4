"""Log lines: JSON to a file for machines, readable to the console for people.

A line is a static event name and fields. Every process of a role writes the same file: lines are short
appends, and each process looks whether another one has rotated the file (`watch`).
"""

import inspect
import logging
import re
import sys
from typing import TYPE_CHECKING, Any

import msgspec
from loguru import logger

from worker.settings import Settings

if TYPE_CHECKING:
    from loguru import Record

_SECRET = re.compile(r"(?i)passw|secret|token|authorization|api_?key|credential")
_CONSOLE = (
    "<dim>{time:HH:mm:ss.SSS}</dim> <level>{level: <7}</level> {extra[_role]: <15} {message}{extra[_shown]}\n"
)


def set_up(settings: Settings, role: str, *, console: bool = True) -> None:
    """Send the log lines of this process, and those of its libraries, to the role's file and to stderr."""
    folder = settings.home_path / "logs"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    logger.remove()
    logger.configure(extra={"_role": role}, patcher=_prepare)
    logger.add(
        folder / f"{role}.jsonl",
        level=settings.log_level,
        format=_json_line,
        rotation=settings.log_rotation,
        retention=settings.log_retention,
        compression="gz",
        watch=True,
        diagnose=False,  # the values of variables in a traceback may be secrets
    )
    if console:
        logger.add(sys.stderr, level=settings.log_level, format=_console_line, diagnose=False)
    for library in _TALKATIVE:
        logging.getLogger(library).setLevel(logging.WARNING)
    logging.basicConfig(handlers=[_FromLogging()], level=logging.INFO, force=True)


# They say of every message what the lines of its attempt say better.
_TALKATIVE = ("celery.worker.strategy", "celery.app.trace")


class _FromLogging(logging.Handler):
    """Hands the lines of libraries, which log by the standard library, to loguru."""

    def emit(self, record: logging.LogRecord) -> None:
        """Pass one line on, with the place it came from."""
        frame, depth = inspect.currentframe(), 0
        while frame and (depth == 0 or frame.f_code.co_filename == logging.__file__):
            frame, depth = frame.f_back, depth + 1
        try:
            level: str | int = logger.level(record.levelname).name
        except ValueError:
            level = record.levelno
        logger.opt(depth=depth, exception=record.exc_info).log(
            level, "{}", record.getMessage(), library=record.name
        )


def _prepare(record: "Record") -> None:
    fields = {name: _shown(name, value) for name, value in record["extra"].items() if name not in _OWN}
    record["extra"]["_fields"] = fields
    record["extra"]["_shown"] = "".join(f" {name}={value}" for name, value in fields.items())


_OWN = {"_role", "_fields", "_shown", "_line"}  # what this module puts beside a line's fields


def _shown(name: str, value: object) -> object:
    if _SECRET.search(name):
        return "***"
    return value if isinstance(value, str | int | float | bool | None) else str(value)


def _console_line(record: "Record") -> str:
    return _CONSOLE + ("{exception}" if record["exception"] else "")


def _json_line(record: "Record") -> str:
    line: dict[str, Any] = {
        "time": record["time"].isoformat(),
        "level": record["level"].name,
        "event": record["message"],
        "role": record["extra"]["_role"],
        "pid": record["process"].id,
    }
    for name, value in record["extra"]["_fields"].items():
        line[f"{name}_" if name in line else name] = value
    if record["exception"]:
        line["exception"] = repr(record["exception"].value)
    record["extra"]["_line"] = msgspec.json.encode(line, enc_hook=str).decode()
    return "{extra[_line]}\n"
