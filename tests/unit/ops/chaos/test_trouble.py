"""What is noted of faults that do not go as planned."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from random import Random
from unittest.mock import MagicMock

import pytest

from ops.chaos import trouble
from ops.chaos.faults.fault import Harm, Lane, Missed, fault
from ops.chaos.history import AnyEvent, Fault, Journal, read
from ops.chaos.plan import Planned
from ops.chaos.rig import Rig
from ops.chaos.trouble import Troublemaker

HARM = Harm("broker", stopped=(17,), cut_off=(18,), unrenewed=(19,), killed=(20,), asked=(21,))


@fault(Lane.BROKER)
def never_mended(_rig: Rig, _dice: Random) -> Iterator[Harm]:
    """Strikes, and cannot mend."""
    yield HARM
    raise RuntimeError("it does not start")


@fault(Lane.BROKER)
def nothing_there(_rig: Rig, _dice: Random) -> Iterator[Harm]:
    """Finds nothing to strike."""
    raise Missed
    yield Harm("nobody")


def carried_out(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[list[AnyEvent], Troublemaker]:
    monkeypatch.setattr(trouble, "FAULTS", {found.name: found for found in (never_mended, nothing_there)})
    plan = {Lane.BROKER: [Planned(at=0.0, name=name, lasts=0.0, pick=1)]}
    journal = tmp_path / "journal"
    with closing(Journal(journal)) as noted:
        maker = Troublemaker(plan, MagicMock(spec=Rig), noted)
        maker.start()
        maker.wait()
    return list(read([journal])), maker


def test_harm_is_noted_though_it_could_not_be_mended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Or the judge would take what it explains for a broken promise."""
    (noted,), maker = carried_out("never-mended", tmp_path, monkeypatch)
    assert isinstance(noted, Fault)
    harms = ("target", "stopped", "cut_off", "unrenewed", "killed", "asked")
    assert {name: getattr(noted, name) for name in harms} == asdict(HARM)
    assert maker.errors == ["never-mended: RuntimeError: it does not start"]


def test_what_found_nothing_to_strike_is_no_fault_and_no_error_but_is_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    events, maker = carried_out("nothing-there", tmp_path, monkeypatch)
    assert (events, maker.errors, maker.missed) == ([], [], ["nothing-there"])
