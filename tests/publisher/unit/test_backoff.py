"""Backoff: full jitter under a growing ceiling, and no reset before lasting health."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drift_publisher.backoff import Backoff


class Clock:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def ceilings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every wait is as long as it may be."""
    monkeypatch.setattr("random.uniform", lambda low, high: high)


def failing(backoff: Backoff, times: int) -> list[float]:
    return [backoff.next_s() for _ in range(times)]


@pytest.mark.usefixtures("ceilings")
def test_the_longest_wait_doubles_up_to_thirty_seconds() -> None:
    assert failing(Backoff(), 9) == [0.5, 1, 2, 4, 8, 16, 30, 30, 30]


@pytest.mark.usefixtures("ceilings")
def test_first_and_longest_wait_can_be_chosen() -> None:
    assert failing(Backoff(first_s=1, longest_s=5), 5) == [1, 2, 4, 5, 5]


@settings(max_examples=200, deadline=None)
@given(failures=st.integers(0, 100), first=st.floats(0.01, 5), longest=st.floats(5, 60))
def test_a_wait_is_never_zero_and_never_above_its_ceiling(failures: int, first: float, longest: float) -> None:
    backoff = Backoff(first_s=first, longest_s=longest)
    failing(backoff, failures)
    ceiling = min(longest, first * 2 ** min(failures, 16))
    assert ceiling / 10 <= backoff.next_s() <= ceiling


def test_waits_are_spread_over_the_whole_range() -> None:
    waits = [Backoff(first_s=10).next_s() for _ in range(400)]
    assert min(waits) < 2.5
    assert max(waits) > 8.5
    assert len(set(waits)) > 390


@pytest.mark.usefixtures("ceilings")
def test_ten_thousand_failures_overflow_nothing() -> None:
    assert failing(Backoff(), 10_000)[-1] == 30


@pytest.mark.usefixtures("ceilings")
@pytest.mark.parametrize(("healthy_s", "wait"), [(0, 8), (1, 8), (29.9, 8), (30, 0.5), (3600, 0.5)])
def test_only_thirty_seconds_of_health_bring_the_wait_back(clock: Clock, healthy_s: float, wait: float) -> None:
    backoff = Backoff(clock=clock)
    failing(backoff, 4)
    backoff.healthy()
    clock.now += healthy_s
    backoff.healthy()
    assert backoff.next_s() == wait


@pytest.mark.usefixtures("ceilings")
def test_health_before_a_failure_does_not_count_after_it(clock: Clock) -> None:
    backoff = Backoff(clock=clock)
    failing(backoff, 3)
    for _ in range(5):  # 20 s of health, then a failure: again and again
        backoff.healthy()
        clock.now += 20
        backoff.healthy()
        backoff.next_s()
    assert backoff.next_s() == 30


@pytest.mark.usefixtures("ceilings")
def test_a_server_that_accepts_and_closes_is_not_asked_faster_and_faster(clock: Clock) -> None:
    backoff, waits = Backoff(clock=clock), []
    for _ in range(20):
        backoff.healthy()
        clock.now += 0.01
        waits.append(backoff.next_s())
        clock.now += waits[-1]
    assert waits == sorted(waits)
    assert waits[-1] == 30


@pytest.mark.usefixtures("ceilings")
def test_after_a_reset_it_grows_again(clock: Clock) -> None:
    backoff = Backoff(clock=clock)
    failing(backoff, 6)
    backoff.healthy()
    clock.now += 31
    backoff.healthy()
    assert failing(backoff, 3) == [0.5, 1, 2]
