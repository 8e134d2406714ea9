"""Whether the program would trust an oracle reading: perp markets against driftpy, spot markets against the program.

Source of the program's word: drift-labs/protocol-v2, ``programs/drift/src/math/oracle.rs``.
"""

from __future__ import annotations

from typing import Any

import pytest
from driftpy.math.oracles import is_oracle_valid
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from drift_publisher.accounts import OraclePrice
from drift_publisher.profiles.drift_v2 import DRIFT_V2
from drift_publisher.profiles.drift_v2.records import PerpMarket, SpotMarket, State
from drift_publisher.profiles.drift_v2.validity import oracle_is_valid

from .accounts import decode, perp, perp_bytes, spot, state_bytes
from .amm_states import oracle_data

SLOT = 300_000_000
GUARDS = state_bytes()
STATE = DRIFT_V2.state.read(GUARDS)
TIERS = {"A": 1, "B": 1, "C": 2, "Speculative": 10, "HighlySpeculative": 50, "Isolated": 50}
ASSET_TIERS = {"Collateral": 1, "Protected": 1, "Cross": 5, "Isolated": 50, "Unlisted": 50}


def reading(
    price: int = 100_000_000, confidence: int = 10_000, age: int = 1, *, sufficient: bool = True
) -> OraclePrice:
    """A reading that was posted ``age`` slots ago."""
    return OraclePrice(price, confidence, SLOT - age, sufficient)


def valid(market: PerpMarket | SpotMarket, oracle: OraclePrice, state: State = STATE) -> bool:
    return oracle_is_valid(market, oracle, state, SLOT)


# --- perp markets -----------------------------------------------------------------------------------------------------


@settings(max_examples=300, deadline=None)
@given(
    price=st.one_of(st.integers(1, 10**4), st.integers(1, 10**11)),
    twap=st.integers(0, 10**11),
    permille=st.integers(0, 1100),
    age=st.integers(-5, 200),
    sufficient=st.booleans(),
    tier=st.sampled_from(sorted(TIERS)),
)
def test_a_perp_market_trusts_what_driftpy_trusts(
    price: int, twap: int, permille: int, age: int, sufficient: bool, tier: str
) -> None:
    oracle = reading(price, max(1, price * permille // 1000), age, sufficient=sufficient)
    data = perp_bytes(contract_tier=tier, last_oracle_price_twap=twap)
    theirs = is_oracle_valid(decode(data), oracle_data(oracle), decode(GUARDS).oracle_guard_rails, SLOT)
    assert valid(DRIFT_V2.perp_market.read(data), oracle) == theirs


def test_a_price_without_a_confidence_interval_is_certain_however_small_it_is() -> None:
    """Driftpy takes at least one unit for the interval, which for a price of 20 units is 5 %; the program does not."""
    small = perp(last_oracle_price_twap=20)
    assert valid(small, reading(20, confidence=0))
    decoded = decode(perp_bytes(last_oracle_price_twap=20))
    rails = decode(GUARDS).oracle_guard_rails
    assert not is_oracle_valid(decoded, oracle_data(reading(20, confidence=0)), rails, SLOT)
    assert not valid(small, reading(20, confidence=1))


@pytest.mark.parametrize("price", [0, -1, -(10**8)])
def test_a_price_that_is_not_positive_is_no_price(price: int) -> None:
    for market in (perp(), spot()):
        assert not valid(market, reading(price))
    with pytest.raises((ZeroDivisionError, AssertionError)):  # driftpy divides by it
        assert is_oracle_valid(decode(perp_bytes()), oracle_data(reading(0)), decode(GUARDS).oracle_guard_rails, SLOT)


@pytest.mark.parametrize(
    ("price", "trusted"),
    [(599_999_999, True), (600_000_000, False), (16_666_667, True), (16_666_666, False)],
)
def test_too_volatile_is_a_whole_multiple_beyond_the_limit(price: int, trusted: bool) -> None:
    for market in (perp(last_oracle_price_twap=10**8), spot(last_oracle_price_twap=10**8)):
        assert valid(market, reading(price, 0)) is trusted


@pytest.mark.parametrize(("tier", "multiple"), TIERS.items())
def test_riskier_contracts_allow_wider_confidence(tier: str, multiple: int) -> None:
    edge = 2_000_000 * multiple  # 2 % of 100, times the tier's multiple
    assert valid(perp(contract_tier=tier), reading(confidence=edge))
    assert valid(perp(contract_tier=tier), reading(confidence=edge + 99))  # the program's division drops the rest
    assert not valid(perp(contract_tier=tier), reading(confidence=edge + 100))


@pytest.mark.parametrize(("age", "trusted"), [(-3, True), (0, True), (10, True), (11, False), (10**6, False)])
def test_a_perp_market_wants_an_oracle_as_fresh_as_its_amm_does(age: int, trusted: bool) -> None:
    assert valid(perp(), reading(age=age)) is trusted


def test_a_perp_market_wants_it_as_fresh_as_margin_does_too_where_that_is_stricter() -> None:
    strict = STATE._replace(slots_before_stale_for_margin=4)
    assert valid(perp(), reading(age=4), strict)
    assert not valid(perp(), reading(age=5), strict)  # driftpy never asks for margin


@pytest.mark.parametrize("source", ["Prelaunch", "QuoteAsset"])
def test_the_program_ignores_the_age_of_some_sources_where_driftpy_does_not(source: str) -> None:
    data = perp_bytes(oracle_source=source)
    assert valid(DRIFT_V2.perp_market.read(data), reading(age=10**6))
    theirs = is_oracle_valid(decode(data), oracle_data(reading(age=10**6)), decode(GUARDS).oracle_guard_rails, SLOT)
    assert not theirs


def test_a_perp_market_wants_enough_data_points() -> None:
    assert not valid(perp(), reading(sufficient=False))


def test_an_unknown_tier_is_treated_like_the_riskiest() -> None:
    unknown = perp()._replace(contract_tier="Unknown(9)")
    assert valid(unknown, reading(confidence=99_000_000))
    assert valid(spot()._replace(asset_tier="Unknown(9)"), reading(confidence=99_000_000))


# --- spot markets -----------------------------------------------------------------------------------------------------


def margin_calculation_trusts(market: SpotMarket, oracle: OraclePrice, state: State) -> bool:
    """``oracle_validity`` with ``DriftAction::MarginCalc``, line by line."""
    if oracle.price <= 0:
        return False
    if max(oracle.price, market.last_oracle_price_twap) // max(min(market.last_oracle_price_twap, oracle.price), 1) > (
        state.too_volatile_ratio
    ):
        return False
    if (
        oracle.confidence * 1_000_000 // oracle.price
        > state.confidence_interval_max_size * ASSET_TIERS[market.asset_tier]
    ):
        return False
    patience = 3 if market.oracle_source in ("PythStableCoinPull", "PythLazerStableCoin") else 1
    delay = 0 if market.oracle_source == "QuoteAsset" else SLOT - oracle.slot
    return delay <= state.slots_before_stale_for_margin * patience


@settings(max_examples=300, deadline=None)
@given(
    price=st.one_of(st.integers(-5, 100), st.integers(1, 10**11)),
    twap_percent=st.integers(0, 700),
    permille=st.integers(0, 1100),
    age=st.integers(-5, 400),
    sufficient=st.booleans(),
    tier=st.sampled_from(sorted(ASSET_TIERS)),
    source=st.sampled_from(["PythLazer", "PythLazerStableCoin", "PythStableCoinPull", "PythStableCoin", "QuoteAsset"]),
)
def test_a_spot_market_trusts_what_margin_calculation_trusts(**drawn: Any) -> None:
    price = drawn["price"]
    market = spot(
        last_oracle_price_twap=price * drawn["twap_percent"] // 100,
        asset_tier=drawn["tier"],
        oracle_source=drawn["source"],
    )
    confidence = max(0, price * drawn["permille"] // 1000)
    oracle = reading(price, confidence, drawn["age"], sufficient=drawn["sufficient"])
    assume(confidence < 2**64)
    assert valid(market, oracle) == margin_calculation_trusts(market, oracle, STATE)


@pytest.mark.parametrize(
    ("source", "oldest"),
    [("PythLazer", 120), ("PythLazerStableCoin", 360), ("PythStableCoinPull", 360), ("PythStableCoin", 120)],
)
def test_margin_waits_three_times_as_long_for_a_stable_coin(source: str, oldest: int) -> None:
    assert valid(spot(oracle_source=source), reading(age=oldest))
    assert not valid(spot(oracle_source=source), reading(age=oldest + 1))


@pytest.mark.parametrize(("tier", "multiple"), ASSET_TIERS.items())
def test_riskier_assets_allow_wider_confidence(tier: str, multiple: int) -> None:
    edge = 2_000_000 * multiple
    assert valid(spot(asset_tier=tier), reading(confidence=edge))
    assert not valid(spot(asset_tier=tier), reading(confidence=edge + 100))


def test_margin_calculation_does_not_mind_too_few_data_points() -> None:
    assert valid(spot(), reading(sufficient=False))
