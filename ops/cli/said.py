"""Words of a command that go into a header or a path, where not every text can stand."""

import re

import click

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


class Said(click.ParamType[str]):
    """A text in one line that is not empty.

    Args:
        plain: it may have the characters of ASCII alone, as a header.
    """

    name = "text"

    def __init__(self, *, plain: bool = False) -> None:
        self._plain = plain

    def convert(self, value: str, _param: click.Parameter | None, _ctx: click.Context | None) -> str:
        """The text as it is.

        Raises:
            click.BadParameter: it cannot stand there.
        """
        if not value:
            self.fail("is empty")
        if _CONTROL.search(value):
            self.fail(f"{value!r} holds a line's end or another control character")
        if self._plain and not value.isascii():
            self.fail(f"{value!r} holds more than ASCII")
        return value
