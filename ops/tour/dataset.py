"""Real, public data sets to send around, from the package vega_datasets (BSD licence).

Airports of the United States: the US Federal Aviation Administration. Daily weather in Seattle from 2012 to
2015: NOAA's National Centers for Environmental Information. Both are works of the US government and in the
public domain. The package is found, not imported: importing it would want pandas.
"""

import hashlib
import importlib.util
from pathlib import Path


class Missing(RuntimeError):  # noqa: N818 - reads as what it is
    """The package with the data set is not installed."""


def weather() -> bytes:
    """The weather, as CSV.

    Raises:
        Missing: says what to install.
    """
    return _read("seattle-weather.csv")


def _read(name: str) -> bytes:
    package = importlib.util.find_spec("vega_datasets")
    if package is None or package.origin is None:
        raise Missing("the demo's data set is missing: run ./ops/demo, or install vega-datasets")
    return (Path(package.origin).parent / "_data" / name).read_bytes()


def pages(count: int) -> list[bytes]:
    """The airports cut into so many pages; joined they are the data set again. Raises as `weather` does."""
    rows = _read("airports.csv").splitlines(keepends=True)
    return [b"".join(rows[len(rows) * i // count : len(rows) * (i + 1) // count]) for i in range(count)]


def digest(data: bytes) -> str:
    """SHA-256, hexadecimal."""
    return hashlib.sha256(data).hexdigest()
