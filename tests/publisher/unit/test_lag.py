"""The chain's clock against ours: a node that lags is told apart from a clock of ours that is wrong, or is set."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drift_publisher.lag import CLOCK_SYSVAR, ChainClock, ClockReading, clock_of
from drift_publisher.source import AccountUpdate

from .clocks import clock_bytes

LIMIT_S = 60.0
NOON = 1_750_000_000


@dataclass
class Clocks:
    """Our two clocks, and a node's."""

    wall_s: float = NOON
    steady_s: float = 1000.0
    node_s: float = NOON
    compared: ChainClock = field(init=False)

    def __post_init__(self) -> None:
        self.compared = ChainClock(LIMIT_S, wall=lambda: self.wall_s, steady=lambda: self.steady_s)

    def pass_s(self, seconds: float) -> None:
        """Time goes on, for all of them."""
        self.wall_s += seconds
        self.steady_s += seconds
        self.node_s += seconds

    def complaint(self, *, was_refused: bool = False) -> str:
        """What is said of the node now."""
        return self.compared.complaint(ClockReading(1, int(self.node_s), 0), was_refused=was_refused)


def test_the_clock_account_is_read() -> None:
    account = AccountUpdate(CLOCK_SYSVAR, "Sysvar", 7, clock_bytes(NOON, epoch_began_s=5), 0)
    assert clock_of(account) == ClockReading(7, NOON, 5)


@pytest.mark.parametrize("data", [None, b"", b"short"])
def test_a_node_without_a_clock_tells_none(data: bytes | None) -> None:
    assert clock_of(AccountUpdate(CLOCK_SYSVAR, "Sysvar", 7, data, 0)) is None


@pytest.mark.parametrize(
    ("behind_s", "says"), [(0, ""), (60, ""), (61, "61 s behind ours"), (-61, "61 s ahead of ours")]
)
def test_the_two_clocks_must_agree_at_first(behind_s: int, says: str) -> None:
    complaint = Clocks(node_s=NOON - behind_s).complaint()
    assert complaint.startswith(says)
    assert bool(complaint) == bool(says)


@pytest.mark.parametrize("jump_s", [3600, -3600, 90, -34])
def test_our_clock_jumps_and_the_node_is_still_taken(jump_s: int) -> None:
    clocks = Clocks()
    assert clocks.complaint() == ""
    clocks.wall_s += jump_s
    clocks.pass_s(30)
    assert clocks.complaint() == ""


@pytest.mark.parametrize("jump_s", [3600, -3600, -100, 0])
def test_our_clock_jumps_and_a_node_that_lags_is_found_out_all_the_same(jump_s: int) -> None:
    clocks = Clocks()
    assert clocks.complaint() == ""
    clocks.wall_s += jump_s
    clocks.pass_s(200)
    clocks.node_s -= 100
    assert "100 s behind ours" in clocks.complaint()


def test_a_clock_that_was_wrong_and_is_set_right_is_believed_again() -> None:
    clocks = Clocks(wall_s=NOON - 50)
    assert clocks.complaint() == ""
    clocks.wall_s += 50
    assert clocks.complaint() == ""
    clocks.node_s -= 70
    assert "70 s behind" in clocks.complaint(), "not judged by the time that was wrong by 50 s"


@given(st.lists(st.floats(-2, 2), min_size=1, max_size=20))
def test_a_node_at_the_limit_does_not_come_and_go(jitter_s: list[float]) -> None:
    """Once refused, it must come well inside the limit to be taken again."""
    clocks, is_refused, changes = Clocks(), False, 0
    assert clocks.complaint() == ""
    for off_s in jitter_s:
        clocks.pass_s(1)
        clocks.node_s = clocks.wall_s - LIMIT_S + off_s
        before, is_refused = is_refused, bool(clocks.complaint(was_refused=is_refused))
        changes += before != is_refused
    assert changes <= 1
