"""Jinja, confined: to one folder, to harmless attributes, and to so much work.

Importing this loads Jinja; workers that render nothing do without.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, TemplateNotFound
from jinja2.runtime import Context
from jinja2.sandbox import MAX_RANGE, ImmutableSandboxedEnvironment

LARGEST_OUTPUT = 1024 * 1024  # characters of one part of a mail
LARGEST_POWER = 64  # exponent


class Sandbox(ImmutableSandboxedEnvironment):
    """The environment of one template's folder.

    Args:
        folder: where it lies; includes find their files there, and nowhere else.
        html: values are escaped, also where a file that is included has another ending.
    """

    intercepted_binops = frozenset({"*", "**"})

    def __init__(self, folder: Path, *, html: bool) -> None:
        super().__init__(
            loader=_FolderLoader(folder),
            undefined=StrictUndefined,  # a misspelled name is an error, and no gap in somebody's mail
            autoescape=html,
            finalize=_shown,
            trim_blocks=True,
            lstrip_blocks=True,
        )

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        """Multiply, or raise to a power, what stays small."""
        if operator == "**" and abs(right) > LARGEST_POWER:
            raise OverflowError(f"a power with an exponent above {LARGEST_POWER}")
        if operator == "*" and _repeated(left, right) > LARGEST_OUTPUT:
            raise OverflowError(f"a repetition of more than {LARGEST_OUTPUT} characters")
        return super().call_binop(context, operator, left, right)


def counted_range() -> Callable[..., range]:
    """A `range` for one rendering, all of whose calls together give no more than Jinja gives one."""
    left = MAX_RANGE

    def counted(*bounds: int) -> range:
        nonlocal left
        numbers = range(*bounds)
        if numbers[left:]:  # and not its length, which may be beyond what Python counts
            raise OverflowError(f"ranges of more than {MAX_RANGE} numbers in all")
        left -= len(numbers)
        return numbers

    return counted


class _FolderLoader(FileSystemLoader):
    """Follows no link out of its folder; one may have come after the definitions were checked."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._folder = folder.resolve()

    def get_source(self, environment: Environment, template: str) -> tuple[str, str, Callable[[], bool]]:
        """Read a file of the folder."""
        source, file, is_current = super().get_source(environment, template)
        if not Path(file).resolve().is_relative_to(self._folder):
            raise TemplateNotFound(template)
        return source, file, is_current


def _shown(value: Any) -> Any:
    return "" if value is None else value  # what a job may leave out


def _repeated(left: Any, right: Any) -> int:
    """The length of a sequence times a number; 0 for other products."""
    for sequence, count in ((left, right), (right, left)):
        if isinstance(sequence, str | list | tuple | bytes) and isinstance(count, int):
            return len(sequence) * count
    return 0
