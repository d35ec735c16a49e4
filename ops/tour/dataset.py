"""A real, public data set to send around: airports of the United States, from the package vega_datasets.

Source: the US Federal Aviation Administration, by way of the vega-datasets collection (BSD licence). The
package is found, not imported: importing it would want pandas.
"""

import hashlib
import importlib.util
from pathlib import Path


class Missing(RuntimeError):  # noqa: N818 - reads as what it is
    """The package with the data set is not installed."""


def lines() -> list[bytes]:
    """The data set, line by line.

    Raises:
        Missing: says what to install.
    """
    package = importlib.util.find_spec("vega_datasets")
    if package is None or package.origin is None:
        raise Missing("the demo's data set is missing: run ./ops/demo, or install vega-datasets")
    return (Path(package.origin).parent / "_data" / "airports.csv").read_bytes().splitlines(keepends=True)


def pages(count: int) -> list[bytes]:
    """The data set cut into so many pages; joined they are the data set again."""
    rows = lines()
    return [b"".join(rows[len(rows) * i // count : len(rows) * (i + 1) // count]) for i in range(count)]


def digest(data: bytes) -> str:
    """SHA-256, hexadecimal."""
    return hashlib.sha256(data).hexdigest()
