"""Folders of definitions as a test writes them."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from worker.definitions import DefinitionError, Definitions, load

SOURCE = 'description = "Orders."\n'
STATEMENT = """\
source = "shop"
sql = "UPDATE orders SET seen = true WHERE id = :id"

[parameters.id]
type = "integer"
"""
REPORT = """\
title = "Orders"
source = "shop"

[parameters.since]
type = "date"

[tables.orders]
sql = "SELECT * FROM orders WHERE day >= :since"

[charts.days]
table = "orders"
[charts.days.spec]
mark = "bar"
"""
TEMPLATE = """\
description = "A welcome."

[parameters.name]
type = "text"
"""


def good() -> dict[str, str]:
    """One sound definition of each section, by path."""
    return {
        "sources/shop.toml": SOURCE,
        "statements/see.toml": STATEMENT,
        "reports/orders/report.toml": REPORT,
        "templates/welcome/template.toml": TEMPLATE,
        "templates/welcome/subject.txt": "Welcome",
        "templates/welcome/body.txt": "Hello {{ name }}",
    }


def written(folder: Path, files: Mapping[str, str]) -> Path:
    """The folder, with these files in it."""
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode())
    return folder


def loaded(folder: Path, files: Mapping[str, str]) -> Definitions:
    """What the files define."""
    return load(written(folder, files))


def faults(folder: Path, files: Mapping[str, str]) -> list[str]:
    """What is wrong with the files, with paths below the folder."""
    with pytest.raises(DefinitionError) as caught:
        loaded(folder, files)
    return [str(fault).removeprefix(f"{folder}/") for fault in caught.value.faults]
