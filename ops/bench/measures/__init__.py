"""The measures: one module for each, which says what it measures and whom it compares.

Each has a function `measure` that takes a course and returns its rounds; one that does not count says why.
"""

from collections.abc import Callable
from importlib import import_module
from types import MappingProxyType

from ops.bench.course import Course
from ops.bench.figures import Round

# Measure → how many rounds it has where nobody says; in the order of the table of goals.
MEASURES = MappingProxyType(
    {
        "accept": 5,
        "batches": 5,
        "drain": 5,
        "together": 1,
        "latency": 5,
        "pages": 5,
        "history": 3,
        "waiting": 3,
        "due": 3,
        "report": 3,
        "load": 3,
        "idle": 3,
        "soak": 1,
    }
)


def find(name: str) -> Callable[[Course], list[Round]]:
    """The measure of that name."""
    module = import_module(f"ops.bench.measures.{name}")
    measure: Callable[[Course], list[Round]] = module.measure
    return measure


def told(name: str) -> str:
    """What a measure says of itself, in one line."""
    return (import_module(f"ops.bench.measures.{name}").__doc__ or "").partition("\n")[0]
