"""A claim is met where something was measured, and nothing of it took too long."""

import pytest
from rich.console import Console

from ops.chaos.measure.claim import Claim, at_most, table


@pytest.mark.parametrize(
    ("found", "met", "said"),
    [
        ([1.0, 9.99], True, "10.0 s, the worst of 2"),
        ([1.0, 10.01], False, "10.0 s, the worst of 2"),
        ([-3.0], True, "-3.0 s, the worst of 1"),
        ([], False, "nothing to measure"),
    ],
)
def test_it_is_met_where_the_worst_is_within_the_limit(found: list[float], *, met: bool, said: str) -> None:
    claim = at_most("jobs run again", 10.0, found)
    assert (claim.met, claim.found) == (met, said)


def test_the_table_tells_what_was_not_met() -> None:
    claims = [
        Claim(what="one", promised="at most 1 s", found="0.1 s", met=True),
        Claim(what="two", promised="at most 1 s", found="7.0 s", met=False),
    ]
    console = Console(width=100)
    with console.capture() as captured:
        console.print(table(claims))
    lines = {line.split()[1]: line for line in captured.get().splitlines() if " s" in line}
    assert "NOT MET" not in lines["one"]
    assert "NOT MET" in lines["two"]
