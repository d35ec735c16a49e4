"""What the README tells those who add a kind works as it stands there."""

import re
import sys
from pathlib import Path
from types import ModuleType

import pytest

from worker.contract import Kind

README = Path(__file__).parents[2] / "README.md"


@pytest.fixture
def blocks(monkeypatch: pytest.MonkeyPatch) -> tuple[ModuleType, ModuleType]:
    """The kind and its test, as modules of the names that the README gives them."""
    kind, test = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    modules = []
    for name, code in (("worker.kinds.text.count", kind), ("test_count", test)):
        module = ModuleType(name)
        monkeypatch.setitem(sys.modules, name, module)
        exec(compile(code, f"README.md: {name}", "exec"), module.__dict__)  # noqa: S102 - our own text
        modules.append(module)
    return modules[0], modules[1]


def test_its_kind_is_declared_under_the_name_of_its_path(blocks: tuple[ModuleType, ModuleType]) -> None:
    declared = [value for value in vars(blocks[0]).values() if isinstance(value, Kind)]
    assert [kind.name for kind in declared] == ["text.count"]
    assert declared[0].module == "worker.kinds.text.count"


def test_its_test_passes(blocks: tuple[ModuleType, ModuleType]) -> None:
    tests = [value for name, value in vars(blocks[1]).items() if name.startswith("test_")]
    assert len(tests) == 1
    tests[0]()
