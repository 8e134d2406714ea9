"""The MM oracle and the safe price: which of two prices the program's fills go by."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drift_publisher.profiles.velocity_v1.mm_oracle import price_extras, safe_price

from .accounts import SLOT, perp, reading, state

STATE = state()
PUBLISHED_AT_US = 1_784_565_000_000_000


def mm(price: int = 100_200_000, age: int = 1, sequence_id: int = 0, **changed: int) -> dict[str, int]:
    """A market's MM oracle, written ``age`` slots ago, 0.2 % above the exchange oracle's 100."""
    return {"mm_oracle_price": price, "mm_oracle_slot": SLOT - age, "mm_oracle_sequence_id": sequence_id, **changed}


def test_a_newer_mm_price_is_the_safe_one_and_its_interval_reaches_to_the_exchange_oracle() -> None:
    extras = price_extras(perp(**mm()), reading(confidence=10_000, age=2), STATE, SLOT)
    assert list(extras.items()) == [
        ("mm_oracle_price", 100_200_000),
        ("mm_oracle_slot", SLOT - 1),
        ("safe_oracle_price", 100_200_000),
        ("safe_oracle_confidence", 210_000),
    ]


def test_without_an_mm_price_the_exchange_oracle_is_safe() -> None:
    extras = price_extras(perp(), reading(confidence=10_000), STATE, SLOT)
    assert list(extras.values()) == [None, None, 100_000_000, 10_000]


@pytest.mark.parametrize("missing", ["oracle", "state"])
def test_without_oracle_or_state_no_price_is_called_safe(missing: str) -> None:
    oracle = None if missing == "oracle" else reading(age=2)
    extras = price_extras(perp(**mm()), oracle, None if missing == "state" else STATE, SLOT)
    assert list(extras.values()) == [100_200_000, SLOT - 1, None, None]


@pytest.mark.parametrize("price", [-1, -100_000_000])
def test_a_price_that_is_not_positive_is_shown_and_not_used(price: int) -> None:
    extras = price_extras(perp(**mm(price)), reading(age=2), STATE, SLOT)
    assert list(extras.values()) == [price, SLOT - 1, 100_000_000, 10_000]


@pytest.mark.parametrize(
    ("price", "used"),
    [(101_000_000, True), (101_000_099, True), (101_000_100, False), (99_000_000, True), (98_999_900, False)],
)
def test_more_than_a_percent_from_the_exchange_oracle_is_too_far(price: int, used: bool) -> None:
    safe = safe_price(perp(**mm(price)), reading(age=2), STATE, SLOT)
    assert safe.is_mm_sourced is used
    assert safe.price == (price if used else 100_000_000)


def test_a_price_too_far_from_the_average_is_too_volatile() -> None:
    for twap, used in ((16_700_001, True), (16_700_000, False)):  # 100.2 is 5 times and 6 times it
        market = perp(**mm(last_oracle_price_twap=twap))
        assert safe_price(market, reading(age=2), STATE, SLOT).is_mm_sourced is used


@pytest.mark.parametrize(("mm_age", "exchange_age", "used"), [(1, 2, True), (2, 2, True), (3, 2, False), (0, 0, True)])
def test_without_ids_the_slots_say_which_is_newer(mm_age: int, exchange_age: int, used: bool) -> None:
    assert safe_price(perp(**mm(age=mm_age)), reading(age=exchange_age), STATE, SLOT).is_mm_sourced is used


def test_a_prelaunch_oracle_is_never_from_the_future() -> None:
    """An update that is ahead of the chain's slot as we know it: three slots, which the program counts as none."""
    market = perp(**mm(age=0), oracle_source="Prelaunch")
    assert safe_price(market, reading(age=-3), STATE, SLOT).is_mm_sourced
    assert not safe_price(perp(**mm(age=0)), reading(age=-3), STATE, SLOT).is_mm_sourced


@pytest.mark.parametrize(("ahead_us", "used"), [(-1, True), (0, True), (1, False)])
def test_with_ids_of_one_kind_they_say_it_whatever_the_slots(ahead_us: int, used: bool) -> None:
    oracle = reading(age=100 if used is False else 0, sequence_id=PUBLISHED_AT_US + ahead_us)
    market = perp(**mm(age=0 if used is False else 100, sequence_id=PUBLISHED_AT_US))
    assert safe_price(market, oracle, STATE, SLOT).is_mm_sourced is used


@pytest.mark.parametrize(("exchange_id", "mm_id"), [(0, PUBLISHED_AT_US), (PUBLISHED_AT_US, 0), (0, 0)])
def test_an_id_that_is_missing_leaves_it_to_the_slots(exchange_id: int, mm_id: int) -> None:
    for mm_age, used in ((1, True), (3, False)):
        market = perp(**mm(age=mm_age, sequence_id=mm_id))
        assert safe_price(market, reading(age=2, sequence_id=exchange_id), STATE, SLOT).is_mm_sourced is used


def test_ids_a_ten_thousandth_apart_are_not_of_one_kind() -> None:
    exchange_id = 10**12
    for difference, by_id in ((10**8 - 1, True), (10**8, False)):
        # by its id the exchange oracle is newer, by its slot older
        market = perp(**mm(age=1, sequence_id=exchange_id - difference))
        assert safe_price(market, reading(age=2, sequence_id=exchange_id), STATE, SLOT).is_mm_sourced is not by_id
        # and the other way round
        market = perp(**mm(age=3, sequence_id=exchange_id + difference))
        assert safe_price(market, reading(age=2, sequence_id=exchange_id), STATE, SLOT).is_mm_sourced is by_id


@settings(max_examples=300, deadline=None)
@given(
    mm_price=st.integers(-10, 10**9),
    price=st.integers(1, 10**9),
    confidence=st.integers(0, 10**8),
    twap=st.integers(0, 10**9),
    mm_age=st.integers(0, 50),
    age=st.integers(0, 50),
)
def test_the_safe_price_is_one_of_both_within_a_percent_and_its_interval_holds_both(
    mm_price: int, price: int, confidence: int, twap: int, mm_age: int, age: int
) -> None:
    market = perp(**mm(mm_price, mm_age, last_oracle_price_twap=twap))
    safe = safe_price(market, reading(price, confidence, age), STATE, SLOT)
    assert safe.price == (mm_price if safe.is_mm_sourced else price)
    assert safe.confidence == confidence + abs(safe.price - price)
    assert abs(safe.price - price) * 10**6 // price <= 10_000
    if safe.is_mm_sourced:
        assert mm_age <= age
