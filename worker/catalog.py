"""The catalog: every kind there is, found by walking packages.

`worker.kinds` is walked first, then the packages that the entry-point group `jobyard.kinds` and the setting
`kinds` name, so that a user's own package adds kinds without a fork. One file declares one kind, whose name
is the file's path below its package: `email/send.py` is `email.send`.
"""

import importlib
import pkgutil
from collections.abc import Iterable, Iterator, Mapping
from importlib.metadata import entry_points
from pathlib import Path
from types import MappingProxyType, ModuleType
from typing import Any

import worker.kinds
from worker.contract import Kind, KindError
from worker.contract.queues import ISOLATION, QUEUES

ENTRY_POINTS = "jobyard.kinds"

AnyKind = Kind[..., Any]
Catalog = Mapping[str, AnyKind]


def load(own: Iterable[str] = ()) -> Catalog:
    """Find all kinds.

    Args:
        own: names of further packages.

    Raises:
        KindError: a file declares no kind or several, a name is not its file's path, or two files
            declare the same name, a folder is no package, or a package cannot be imported.
    """
    found: dict[str, AnyKind] = {}
    for package in _packages(own):
        for module in _modules(package):
            _add(found, _kind_of(module, package))
    return MappingProxyType(dict(sorted(found.items())))


def of_clients(catalog: Catalog) -> Catalog:
    """The kinds that a client may submit: to clients there are no others."""
    return MappingProxyType({name: kind for name, kind in catalog.items() if not kind.internal})


def of_operators(catalog: Catalog) -> frozenset[str]:
    """The names of the kinds that need a key with the scope `operate`."""
    return frozenset(name for name, kind in catalog.items() if kind.operator)


def queue_names(catalog: Catalog) -> list[str]:
    """The queues that jobs may be put into: those that workers are made for, then those of own kinds."""
    own = {queue.name for kind in catalog.values() for queue in kind.queues}
    shipped = [name for name in QUEUES if name != ISOLATION.name]
    return shipped + sorted(own.difference(QUEUES))


def _packages(own: Iterable[str]) -> Iterator[ModuleType]:
    yield worker.kinds
    for entry in entry_points(group=ENTRY_POINTS):
        yield entry.load()
    for name in own:
        try:
            package = importlib.import_module(name)
        except ModuleNotFoundError as error:
            raise KindError(f"{name}: no package of kinds, for there is no module {error.name}") from None
        if not hasattr(package, "__path__"):
            raise KindError(f"{name}: a module, and no package of kinds")
        yield package


def _modules(package: ModuleType) -> Iterator[ModuleType]:
    for folder in package.__path__:
        for file in Path(folder).rglob("*.py"):
            if not (file.parent / "__init__.py").exists():
                raise KindError(f"{file}: its folder has no __init__.py, so it would not be found")
    for info in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
        if not info.ispkg:
            yield importlib.import_module(info.name)


def _kind_of(module: ModuleType, package: ModuleType) -> AnyKind:
    declared = [
        value
        for value in vars(module).values()
        if isinstance(value, Kind) and value.module == module.__name__
    ]
    if len(declared) != 1:
        names = ", ".join(kind.name for kind in declared) or "none"
        raise KindError(f"{module.__name__}: a file declares exactly one kind, this one has {names}")
    path = module.__name__.removeprefix(package.__name__ + ".")
    if declared[0].name != path:
        raise KindError(f"{module.__name__}: declares {declared[0].name}, but its path says {path}")
    return declared[0]


def _add(found: dict[str, AnyKind], kind: AnyKind) -> None:
    if kind.name in found:
        raise KindError(f"{kind.name}: declared by {found[kind.name].module} and by {kind.module}")
    found[kind.name] = kind
