"""Ages from time stamps: never negative, never much too short, and calm when a wall clock jumps."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drift_subscribers.server_clock import ServerClock, parse_time_stamp

WALL = 1_790_000_000.0


def _ns(seconds: float) -> int:
    return int(seconds * 1e9)


@given(st.datetimes(datetime(2020, 1, 1), datetime(2100, 1, 1)), st.integers(0, 999_999_999))
def test_time_stamps_are_read_to_the_nanosecond(moment: datetime, nanoseconds: int) -> None:
    second = moment.replace(microsecond=0, tzinfo=UTC)
    whole = (second - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(seconds=1)
    fraction = f"{nanoseconds:09d}".rstrip("0")
    text = second.strftime("%Y-%m-%dT%H:%M:%S") + (f".{fraction}" if fraction else "") + "Z"
    assert parse_time_stamp(text) == whole * 10**9 + nanoseconds


@given(st.text())
def test_anything_else_is_a_value_error(text: str) -> None:
    with pytest.raises(ValueError):
        parse_time_stamp(text)


@given(st.lists(st.tuples(st.floats(0.001, 5), st.floats(0.0001, 3)), min_size=1, max_size=50))
def test_an_age_is_between_zero_and_the_truth(steps: list[tuple[float, float]]) -> None:
    """Live messages with any delay: no age is negative, none is longer than it is."""
    clock, now, received = ServerClock(), 0.0, 0.0
    clock.calibrate(_ns(WALL), now)
    for sequence, (gap_s, delay_s) in enumerate(steps, 1):
        now += gap_s
        received = max(received, now + delay_s)
        age_s = received - clock.live(sequence, _ns(WALL + now), received)
        assert 0 <= age_s <= received - now + 1e-4
        assert age_s >= received - now - 1e-3 * (received + 1)  # what the permitted drift takes away


def test_a_delayed_message_is_as_old_as_it_is() -> None:
    clock = ServerClock()
    clock.live(1, _ns(WALL), 100.0)
    assert 100.0 + 30.0 - clock.live(2, _ns(WALL + 10), 130.0) == pytest.approx(20, abs=0.1)


@pytest.mark.parametrize("jump_s", [3600.0, -3600.0])
def test_the_servers_wall_clock_may_jump(jump_s: float) -> None:
    clock = ServerClock()
    for sequence in range(1, 100):
        clock.live(sequence, _ns(WALL + sequence), 100.0 + sequence)
    for sequence in range(100, 200):
        confirmed_at = clock.live(sequence, _ns(WALL + sequence + jump_s), 100.0 + sequence)
        assert confirmed_at == pytest.approx(100.0 + sequence, abs=0.5)
    for sequence in range(200, 300):
        confirmed_at = clock.live(sequence, _ns(WALL + sequence), 100.0 + sequence)
        assert confirmed_at == pytest.approx(100.0 + sequence, abs=0.5)


def test_our_own_wall_clock_stands_in_only_until_the_server_is_heard() -> None:
    clock = ServerClock()
    clock.assume(_ns(WALL - 3600), 100.0)
    assert not clock.calibrated
    assert clock.confirmed_at(_ns(WALL), 100.0) == pytest.approx(100.0)
    clock.live(1, _ns(WALL), 100.0)
    assert clock.calibrated
    assert clock.confirmed_at(_ns(WALL - 60), 100.0) == pytest.approx(40.0)


def test_a_new_calibration_replaces_what_disagrees() -> None:
    clock = ServerClock()
    clock.calibrate(_ns(WALL), 100.0)
    clock.calibrate(_ns(WALL + 3600), 101.0)
    assert clock.confirmed_at(_ns(WALL + 3600), 102.0) == pytest.approx(101.0)


def test_a_jump_back_in_a_quiet_time_is_believed_after_a_while_even_if_the_server_may_not_be_asked() -> None:
    clock = ServerClock()
    clock.alone = True
    clock.live(1, _ns(WALL), 100.0)
    for sequence in range(2, 12):  # 20 s later the server's clock stands 15 s behind
        now = 120.0 + sequence
        assert clock.doubts(sequence, _ns(WALL + 5 + sequence), now) == (sequence < 9)
        clock.live(sequence, _ns(WALL + 5 + sequence), now)
    assert clock.confirmed_at(_ns(WALL + 5 + 20), 140.0) == pytest.approx(140.0)


def test_a_backlog_that_drains_is_not_taken_for_a_jump() -> None:
    clock = ServerClock()
    clock.alone = True
    clock.live(1, _ns(WALL), 100.0)
    for sequence in range(2, 30):  # stored one a second, all received in the same instant
        confirmed_at = clock.live(sequence, _ns(WALL + sequence), 130.0)
        assert confirmed_at == pytest.approx(100.0 + sequence, abs=0.1)
