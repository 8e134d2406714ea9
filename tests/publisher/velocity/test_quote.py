"""The AMM's quote: reserves, peg and the spreads that the account keeps."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drift_publisher.profiles.velocity_v1.quote import quote, reserve_price

from .accounts import NOW, perp, reading


def test_the_reserve_price_is_quote_over_base_times_the_peg() -> None:
    # 1 050 000 / 1 000 000 * 100 = 105
    assert reserve_price(perp(quote_asset_reserve=105 * 10**13)) == 105_000_000
    # 1 000 000 / 3 * 100: the fraction is dropped
    assert reserve_price(perp(base_asset_reserve=3 * 10**15)) == 33_333_333


def test_spreads_lie_on_both_sides_of_the_reserve_price() -> None:
    # 100 less 0.05 %, 100 plus 0.1 %
    assert quote(perp(short_spread=500, long_spread=1000)) == (99_950_000, 100_100_000)


@pytest.mark.parametrize(
    ("offset", "bid", "ask"),
    [(0, 99_950_000, 100_100_000), (300, 99_980_000, 100_130_000), (-300, 99_920_000, 100_070_000)],
)
def test_the_reference_price_offset_moves_both(offset: int, bid: int, ask: int) -> None:
    assert quote(perp(short_spread=500, long_spread=1000, reference_price_offset=offset)) == (bid, ask)


def test_an_offset_beyond_the_spread_puts_both_sides_above_or_below_the_reserve_price() -> None:
    assert quote(perp(short_spread=500, long_spread=500, reference_price_offset=2000)) == (100_150_000, 100_250_000)
    assert quote(perp(short_spread=500, long_spread=500, reference_price_offset=-2000)) == (99_750_000, 99_850_000)


def test_prices_drop_their_fraction() -> None:
    # 33 333 333 * 999 950 / 1e6 = 33 331 666.33; * 1 000 050 / 1e6 = 33 334 999.65
    market = perp(base_asset_reserve=3 * 10**15, short_spread=50, long_spread=50)
    assert quote(market) == (33_331_666, 33_334_999)


@pytest.mark.parametrize(
    "state",
    [
        {"base_asset_reserve": 0},
        {"quote_asset_reserve": 0},
        {"peg_multiplier": 0},
        {"base_asset_reserve": 10**30},  # a price below 1e-6
        {"peg_multiplier": 2**64},  # a price beyond 64 bits
        {"short_spread": 10**6},  # a bid of nothing
        {"short_spread": 10**6 + 1},
        {"reference_price_offset": -(10**6)},
    ],
)
def test_a_state_without_a_price_has_no_quote(state: dict[str, int]) -> None:
    assert quote(perp(**state)) is None


def test_neither_the_oracle_nor_the_time_is_asked() -> None:
    market = perp(short_spread=500, long_spread=1000)
    assert quote(market, reading(50_000_000), NOW) == quote(market, None, 0) == quote(market)


@settings(max_examples=200, deadline=None)
@given(
    base=st.integers(1, 10**21),
    quote_reserve=st.integers(1, 10**21),
    peg=st.integers(1, 10**12),
    long=st.integers(0, 10**5),
    short=st.integers(0, 10**5),
    offset=st.integers(-(10**5), 10**5),
)
def test_a_quote_never_crosses_itself_and_wider_spreads_never_narrow_it(
    base: int, quote_reserve: int, peg: int, long: int, short: int, offset: int
) -> None:
    market = perp()._replace(
        base_asset_reserve=base,
        quote_asset_reserve=quote_reserve,
        peg_multiplier=peg,
        long_spread=long,
        short_spread=short,
        reference_price_offset=offset,
    )
    quoted = quote(market)
    wider = quote(market._replace(long_spread=long + 100, short_spread=short + 100))
    if quoted is None or wider is None:
        middle = reserve_price(market)
        assert middle is None or middle < 10  # with 20 % at most, only a price of next to nothing rounds to none
        return
    assert wider[0] <= quoted[0] <= quoted[1] <= wider[1]
