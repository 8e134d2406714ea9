"""How many accounts a request names: halved by refusals, never for good by one of them, never above what is allowed."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from drift_publisher.batch_size import BatchSize

from .virtual_time import VirtualTime


def asked(size: BatchSize, limit: int) -> int:
    """Asks as a reader does until one request passes; returns how many it took."""
    for count in range(1, 100):
        wanted = size.next()
        if wanted <= limit:
            size.passed(wanted)
            return count
        size.refused(wanted)
    raise AssertionError("it never passes")


@given(st.integers(1, 100))
def test_it_finds_a_size_that_passes_and_keeps_it(limit: int) -> None:
    size = BatchSize(clock=VirtualTime())
    assert asked(size, limit) <= 8
    assert limit / 2 < size.learned <= limit
    assert asked(size, limit) == 1, "the next request is not refused"


@given(st.integers(1, 99), st.integers(1, 100))
def test_it_grows_again_where_the_limit_has_gone_up(before: int, after: int) -> None:
    time = VirtualTime()
    size = BatchSize(clock=time)
    asked(size, before)
    for _ in range(20):
        time.now += 6 * 3600
        asked(size, max(before, after))
    assert size.learned > max(before, after) / 2


def test_one_bad_moment_is_forgotten_after_ten_minutes() -> None:
    time = VirtualTime()
    size = BatchSize(clock=time)
    for refused in (100, 50, 25, 13, 7, 4, 2):
        size.refused(refused)
    size.passed(1)
    assert (size.learned, size.next()) == (1, 1)
    time.now += 600
    steps = []
    while size.learned < 100:
        steps.append(size.next())
        size.passed(size.next())
    assert steps == [2, 4, 8, 16, 32, 64, 100]


def test_a_lasting_limit_is_tried_again_more_and_more_seldom() -> None:
    time = VirtualTime()
    size = BatchSize(clock=time)
    asked(size, 20)
    refusals = 0
    for _ in range(24 * 60):
        time.now += 60
        refusals += asked(size, 20) - 1
    assert refusals <= 10, "in a day"
    assert size.learned == 13


def test_the_rest_of_a_reading_says_nothing_about_the_size() -> None:
    size = BatchSize(clock=VirtualTime())
    size.refused(100)
    assert not size.passed(3)
    assert (size.next(), size.learned) == (50, 100)


def test_a_refusal_that_no_size_escapes_changes_nothing() -> None:
    size = BatchSize(clock=VirtualTime())
    for refused in (100, 50, 25, 13, 7, 4, 2, 1):
        size.refused(refused)
    size.give_up()
    assert size.next() == size.learned == 100
