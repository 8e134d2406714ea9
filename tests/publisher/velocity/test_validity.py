"""The guard rails one by one, each at its edge, in slots of every length."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drift_publisher.oracles import OracleFormat, read_oracle
from drift_publisher.profiles.velocity_v1.records import State
from drift_publisher.profiles.velocity_v1.slots import is_older, slot_ms
from drift_publisher.profiles.velocity_v1.validity import (
    OracleVerdict,
    oldest_oracle_slots,
    oracle_is_valid,
    oracle_validity,
)

from .accounts import SLOT, perp, reading, spot, state

TIERS = {"A": 1, "B": 1, "C": 2, "Speculative": 10, "HighlySpeculative": 50, "Isolated": 50}
ASSET_TIERS = {"Collateral": 1, "Protected": 1, "Cross": 5, "Isolated": 50, "Unlisted": 50}
STATE = state()
RUNGS = list(OracleVerdict)


# --- what is found first ----------------------------------------------------------------------------------------------


def test_a_fresh_certain_price_near_its_average_is_valid() -> None:
    for market in (perp(), spot()):
        assert oracle_validity(market, reading(), STATE, SLOT) is OracleVerdict.VALID
        assert oracle_is_valid(market, reading(), STATE, SLOT)


@pytest.mark.parametrize("price", [0, -1, -(10**8)])
def test_a_price_that_is_not_positive_is_no_price(price: int) -> None:
    for market in (perp(), spot()):
        assert oracle_validity(market, reading(price), STATE, SLOT) is OracleVerdict.NON_POSITIVE
        assert not oracle_is_valid(market, reading(price), STATE, SLOT)


@pytest.mark.parametrize(
    ("price", "too_volatile"),
    [(599_999_999, False), (600_000_000, True), (16_666_667, False), (16_666_666, True)],
)
def test_too_volatile_is_a_whole_multiple_beyond_the_limit(price: int, too_volatile: bool) -> None:
    for market in (perp(), spot()):
        verdict = oracle_validity(market, reading(price, 0), STATE, SLOT)
        assert verdict is (OracleVerdict.TOO_VOLATILE if too_volatile else OracleVerdict.VALID)


@pytest.mark.parametrize("twap", [0, -100_000_000])
def test_against_an_average_that_is_no_price_everything_above_five_units_is_too_volatile(twap: int) -> None:
    market = perp(last_oracle_price_twap=twap)
    assert oracle_validity(market, reading(5, 0), STATE, SLOT) is OracleVerdict.VALID
    assert oracle_validity(market, reading(6, 0), STATE, SLOT) is OracleVerdict.TOO_VOLATILE


@pytest.mark.parametrize(("tier", "multiple"), TIERS.items())
def test_riskier_contracts_allow_wider_confidence(tier: str, multiple: int) -> None:
    edge = 2_000_000 * multiple  # 2 % of 100, times the tier's multiple
    market = perp(contract_tier=tier)
    assert oracle_is_valid(market, reading(confidence=edge), STATE, SLOT)
    assert oracle_is_valid(market, reading(confidence=edge + 99), STATE, SLOT)  # the division drops the rest
    assert oracle_validity(market, reading(confidence=edge + 100), STATE, SLOT) is OracleVerdict.TOO_UNCERTAIN


@pytest.mark.parametrize(("tier", "multiple"), ASSET_TIERS.items())
def test_riskier_assets_allow_wider_confidence(tier: str, multiple: int) -> None:
    edge = 2_000_000 * multiple
    assert oracle_is_valid(spot(asset_tier=tier), reading(confidence=edge + 99), STATE, SLOT)
    assert not oracle_is_valid(spot(asset_tier=tier), reading(confidence=edge + 100), STATE, SLOT)


def test_an_unknown_tier_is_treated_like_the_riskiest() -> None:
    assert oracle_is_valid(perp(contract_tier=9), reading(confidence=99_000_000), STATE, SLOT)
    assert oracle_is_valid(spot(asset_tier=9), reading(confidence=99_000_000), STATE, SLOT)


def test_too_few_data_points_keep_the_amm_from_filling_and_do_not_trouble_margin() -> None:
    few = reading(sufficient=False)
    for market in (perp(), spot()):
        assert oracle_validity(market, few, STATE, SLOT) is OracleVerdict.INSUFFICIENT_DATA_POINTS
    assert not oracle_is_valid(perp(), few, STATE, SLOT)
    assert oracle_is_valid(spot(), few, STATE, SLOT)


def test_the_gravest_finding_is_the_one_that_is_named() -> None:
    """A reading with every fault; taking them away one by one shows the next."""
    market, old = perp(), reading(600_000_000, 60_000_000, age=121, sufficient=False)
    faults = [
        (old._replace(price=0), OracleVerdict.NON_POSITIVE),
        (old, OracleVerdict.TOO_VOLATILE),
        (old._replace(price=100_000_000), OracleVerdict.TOO_UNCERTAIN),
        (old._replace(price=100_000_000, confidence=0), OracleVerdict.STALE_FOR_MARGIN),
        (reading(age=11, sufficient=False), OracleVerdict.INSUFFICIENT_DATA_POINTS),
        (reading(age=11), OracleVerdict.STALE_FOR_AMM),
        (reading(age=10), OracleVerdict.STALE_FOR_IMMEDIATE_FILLS),
        (reading(), OracleVerdict.VALID),
    ]
    assert [oracle_validity(market, oracle, STATE, SLOT) for oracle, _ in faults] == [verdict for _, verdict in faults]
    assert [verdict for _, verdict in faults] == RUNGS


# --- age, in slots of 400 ms ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("age", "trusted"), [(-3, True), (0, True), (10, True), (11, False), (10**6, False)])
def test_the_amm_wants_a_price_of_the_last_four_seconds(age: int, trusted: bool) -> None:
    assert oracle_is_valid(perp(), reading(age=age), STATE, SLOT) is trusted


@pytest.mark.parametrize(
    ("source", "oldest"), [("PythLazer", 120), ("PythLazer1K", 120), ("Prelaunch", 120), ("PythLazerStableCoin", 360)]
)
def test_margin_wants_one_of_the_last_48_seconds_and_of_three_times_that_for_a_stable_coin(
    source: str, oldest: int
) -> None:
    market = spot(oracle_source=source)
    assert oracle_validity(market, reading(age=oldest), STATE, SLOT) is OracleVerdict.VALID
    assert oracle_validity(market, reading(age=oldest + 1), STATE, SLOT) is OracleVerdict.STALE_FOR_MARGIN
    assert oldest_oracle_slots(market, STATE) == oldest


def test_the_quote_asset_has_no_age() -> None:
    assert oracle_is_valid(spot(oracle_source="QuoteAsset"), reading(age=SLOT), STATE, SLOT)
    assert oldest_oracle_slots(spot(oracle_source="QuoteAsset"), STATE) is None


def test_a_perp_market_is_held_to_the_margins_rail_where_that_is_stricter() -> None:
    strict = state(slots_before_stale_for_margin=4)
    assert oracle_is_valid(perp(), reading(age=4), strict, SLOT)
    assert oracle_validity(perp(), reading(age=5), strict, SLOT) is OracleVerdict.STALE_FOR_MARGIN


@pytest.mark.parametrize(("override", "oldest"), [(0, 10), (1, 1), (5, 5), (50, 50), (127, 120), (-1, 0), (-128, 0)])
def test_a_market_may_have_its_own_limit_for_low_risk_fills(override: int, oldest: int) -> None:
    market = perp(oracle_low_risk_slot_delay_override=override)  # 0 is none, below 0 is this very slot
    assert oracle_is_valid(market, reading(age=oldest), STATE, SLOT)
    assert not oracle_is_valid(market, reading(age=oldest + 1), STATE, SLOT)


@pytest.mark.parametrize(("override", "oldest"), [(1, 1), (5, 5), (127, 10), (-1, 0), (-128, 0)])
def test_and_one_for_immediate_fills_which_does_not_decide_validity(override: int, oldest: int) -> None:
    market = perp(oracle_slot_delay_override=override)
    assert oracle_validity(market, reading(age=oldest), STATE, SLOT) is OracleVerdict.VALID
    beyond = OracleVerdict.STALE_FOR_IMMEDIATE_FILLS if oldest < 10 else OracleVerdict.STALE_FOR_AMM
    assert oracle_validity(market, reading(age=oldest + 1), STATE, SLOT) is beyond


def test_zero_forbids_immediate_fills_altogether() -> None:
    market = perp(oracle_slot_delay_override=0)
    assert oracle_validity(market, reading(), STATE, SLOT) is OracleVerdict.STALE_FOR_IMMEDIATE_FILLS
    assert oracle_is_valid(market, reading(), STATE, SLOT)


def test_a_limit_below_zero_is_zero() -> None:
    odd = state(slots_before_stale_for_margin=-5)
    assert oracle_is_valid(spot(), reading(age=0), odd, SLOT)
    assert not oracle_is_valid(spot(), reading(age=1), odd, SLOT)


# --- the length of a slot ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ms", "amm", "margin", "stable_coin"),
    [(0, 10, 120, 360), (400, 10, 120, 360), (350, 11, 137, 411), (300, 13, 160, 480), (250, 16, 192, 576),
     (200, 20, 240, 720)],
)  # fmt: skip
def test_limits_are_units_of_400_ms_in_whole_slots_of_any_length(
    ms: int, amm: int, margin: int, stable_coin: int
) -> None:
    at = state(slot_duration_ms=ms)
    assert slot_ms(at, SLOT) == (ms or 400)
    for market, oldest in ((perp(), amm), (spot(), margin), (spot(oracle_source="PythLazerStableCoin"), stable_coin)):
        assert oracle_is_valid(market, reading(age=oldest), at, SLOT)
        assert not oracle_is_valid(market, reading(age=oldest + 1), at, SLOT)
    assert oldest_oracle_slots(spot(), at) == margin


def test_a_staged_length_holds_from_its_slot_on() -> None:
    staged = state(slot_duration_ms=350, pending_slot_duration_ms=300, slot_duration_effective_slot=SLOT)
    assert (slot_ms(staged, SLOT - 1), slot_ms(staged, SLOT), slot_ms(staged, SLOT + 1)) == (350, 300, 300)
    assert oracle_is_valid(perp(), reading(age=13), staged, SLOT)
    assert not oracle_is_valid(perp(), reading(age=12)._replace(slot=SLOT - 13), staged, SLOT - 1)
    assert slot_ms(state(slot_duration_effective_slot=SLOT), SLOT) == 400  # nothing is staged


def test_once_a_transition_is_written_down_the_record_alone_counts() -> None:
    recorded = state(
        slot_duration_ms=250, pending_slot_duration_ms=200, first_350ms_slot=SLOT, first_300ms_slot=SLOT + 1000
    )
    lengths = [slot_ms(recorded, slot) for slot in (0, SLOT - 1, SLOT, SLOT + 999, SLOT + 1000, SLOT + 10**9)]
    assert lengths == [400, 400, 350, 350, 300, 300]


def test_a_reading_from_before_a_transition_has_the_age_that_it_has_lived() -> None:
    """4 s for the AMM: five slots of 400 ms before the transition, and five of 350 ms after it, are 3.75 s."""
    recorded = state(first_350ms_slot=SLOT - 5)
    assert not is_older(recorded, SLOT - 10, SLOT, 10)
    assert is_older(recorded, SLOT - 11, SLOT, 10)  # 4.15 s
    assert not is_older(state(first_350ms_slot=1), SLOT - 11, SLOT, 10)  # 3.85 s
    assert is_older(state(first_350ms_slot=1), SLOT - 12, SLOT, 10)  # 4.2 s
    assert not is_older(state(first_200ms_slot=1), SLOT - 20, SLOT, 10)  # 4 s to the millisecond
    assert is_older(state(first_200ms_slot=1), SLOT - 21, SLOT, 10)
    two = state(first_350ms_slot=SLOT - 8, first_300ms_slot=SLOT - 4)  # 4 * 300 + 4 * 350 = 2.6 s, and 400 ms each
    assert not is_older(two, SLOT - 11, SLOT, 10)  # 3.8 s
    assert is_older(two, SLOT - 12, SLOT, 10)  # 4.2 s
    assert is_older(two, SLOT - 12, SLOT, 3, patience=3)
    assert not is_older(two, SLOT - 11, SLOT, 4, patience=3)


def slot_states() -> st.SearchStrategy[State]:
    start = st.just(0) | st.integers(SLOT - 400, SLOT + 400)
    starts = st.tuples(start, start, start, start).map(sorted)
    return st.builds(
        lambda length, firsts: STATE._replace(
            slot_duration_ms=length,
            first_350ms_slot=firsts[0],
            first_300ms_slot=firsts[1],
            first_250ms_slot=firsts[2],
            first_200ms_slot=firsts[3],
        ),
        st.sampled_from([0, 400, 350, 300, 250, 200]),
        starts,
    )


@settings(max_examples=300, deadline=None)
@given(at=slot_states(), age=st.integers(-5, 800), units=st.integers(-3, 300), patience=st.sampled_from([1, 3]))
def test_age_only_grows_and_is_between_those_in_the_longest_and_in_the_shortest_slots(
    at: State, age: int, units: int, patience: int
) -> None:
    older = is_older(at, SLOT - age, SLOT, units, patience=patience)
    if older:
        assert is_older(at, SLOT - age - 1, SLOT, units, patience=patience)
        assert age * 400 > max(0, units) * 400 * patience - 1200  # whole slots of a limit lose less than one each
    else:
        assert age * 200 <= max(0, units) * 400 * patience


# --- the stable coin --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("price", "confidence", "read"),
    [
        (999_500, 500, 1_000_000),  # 5 bp away, at the edge
        (999_499, 600, 999_499),  # further than 5 bp
        (1_000_500, 500, 1_000_000),
        (1_000_501, 600, 1_000_501),
        (999_900, 100, 1_000_000),  # at the edge of its own interval
        (999_899, 100, 999_899),
        (1_000_000, 0, 1_000_000),
        (1_000_001, 0, 1_000_001),
    ],
)
def test_a_stable_coin_within_its_interval_and_5_bp_is_worth_one(price: int, confidence: int, read: int) -> None:
    source = OracleFormat("owner", lambda *_: reading(price, confidence), stable_coin=True)
    assert read_oracle(source, "owner", b"").price == read
    assert read_oracle(OracleFormat("owner", source.read), "owner", b"").price == price
