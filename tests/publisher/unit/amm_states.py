"""Random states of a perp market that the program could be in, for the properties of price and funding formulas."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from driftpy.types import OraclePriceData
from hypothesis import strategies as st

from drift_publisher.accounts import OraclePrice
from drift_publisher.profiles.drift_v2 import DRIFT_V2
from drift_publisher.profiles.drift_v2.records import PerpMarket

from .accounts import NOW, decode, perp_bytes

__all__ = ["AmmState", "amm_states", "oracle_data"]


@dataclass(frozen=True)
class AmmState:
    """One market in both readings, an oracle price, and the time."""

    market: PerpMarket
    theirs: Any
    oracle: OraclePrice
    now: int

    @property
    def their_oracle(self) -> OraclePriceData:
        """The oracle reading as driftpy takes it."""
        return oracle_data(self.oracle)

    @property
    def is_prediction(self) -> bool:
        """The market's price stays between 0 and 1."""
        return self.market.contract_type == "Prediction"


def oracle_data(price: OraclePrice) -> OraclePriceData:
    """The reading as driftpy takes it."""
    return OraclePriceData(
        price=price.price,
        slot=price.slot,
        confidence=price.confidence,
        twap=None,
        twap_confidence=None,
        has_sufficient_number_of_data_points=price.has_sufficient_data_points,
    )


@st.composite
def amm_states(draw: st.DrawFn, *, prediction: bool = False, flat: bool = False, shifted: bool = False) -> AmmState:
    """A balanced market: what the AMM's curve, position and terminal reserves say agrees.

    Prices lie 30 % around the peg, and everything that widens or shifts a spread varies.

    Args:
        prediction: The market's price lies between 0 and 1.
        flat: The AMM holds no position.
        shifted: Small premiums and positions, so that the quotes are shifted by less than they may be.
    """

    def near(value: int, permille: int) -> int:
        return value + value * draw(st.integers(-permille, permille)) // 1000

    def upto(value: int) -> int:
        return draw(st.integers(0, value))

    digits = draw(st.integers(3, 5) if prediction else st.integers(3, 11))
    price = draw(st.integers(10**digits, 10 ** (digits + 1) - 1))
    peg = max(1, near(price, 300))
    sqrt_k = draw(st.integers(1, 999)) * 10 ** draw(st.integers(11, 15)) + upto(10**9)
    position = 0 if flat else sqrt_k * draw(st.integers(-300, 300)) // 1000 + draw(st.sampled_from([-1, 1, 12_345]))
    terminal_base = near(sqrt_k, 100)
    base = terminal_base - position
    volume = upto(10**15)
    fees = upto(10**13)
    state = {
        "base_asset_reserve": base,
        "quote_asset_reserve": sqrt_k * sqrt_k // base,
        "terminal_quote_asset_reserve": sqrt_k * sqrt_k // terminal_base,
        "sqrt_k": sqrt_k,
        "peg_multiplier": peg,
        "min_base_asset_reserve": base * draw(st.integers(500, 1010)) // 1000,
        "max_base_asset_reserve": base * draw(st.integers(990, 2000)) // 1000,
        "base_asset_amount_with_amm": position,
        "base_asset_amount_with_unsettled_lp": draw(st.sampled_from([0, 0, 10**9, -position, -2 * position])),
        "total_exchange_fee": fees,
        "total_fee_minus_distributions": draw(st.one_of(st.integers(-(10**9), fees), st.integers(0, 10**15))),
        "net_revenue_since_last_funding": draw(
            st.one_of(st.integers(-(10**8), 10**9), st.integers(-(3 * 10**10), -(25 * 10**6)))
        ),
        "last_mark_price_twap": near(price, 30),
        "last_mark_price_twap_5min": near(price, 30),
        "last_oracle_price_twap": near(price, 30),
        "last_oracle_price_twap_5min": near(price, 30),
        "last_oracle_price_twap_ts": NOW - upto(4000),
        "last_mark_price_twap_ts": NOW - upto(4000),
        "last_funding_rate_ts": NOW - upto(3600),
        "funding_period": draw(st.sampled_from([3600, 3600, 60, 28_800])),
        "last_24h_avg_funding_rate": draw(st.sampled_from([0, 1, -1])) * upto(price * 10),
        "last_oracle_conf_pct": upto(20_000),
        "mark_std": upto(price // 20),
        "oracle_std": upto(price // 20),
        "volume_24h": volume,
        "long_intensity_volume": upto(volume),
        "short_intensity_volume": upto(volume),
        "base_spread": draw(st.sampled_from([0, 1, 7, 200, 250, 5_001, 50_000])),
        "max_spread": draw(st.sampled_from([300, 20_000, 50_001, 142_500, 975_000])),
        "curve_update_intensity": draw(st.sampled_from([0, 50, 100, 101, 150, 200])),
        "amm_spread_adjustment": draw(st.integers(-100, 100)),
        "amm_inventory_spread_adjustment": draw(st.integers(-100, 100)),
        "reference_price_offset": draw(st.sampled_from([0, 0, 5, -5, 1500, -1500])),
        "reference_price_offset_deadband_pct": draw(st.integers(0, 30)),
        "base_asset_amount_long": upto(10**15),
        "base_asset_amount_short": -upto(10**15),
        "total_liquidation_fee": upto(10**10),
        "total_fee_withdrawn": upto(10**9),
    }
    if shifted:
        position = draw(st.integers(-50, 50)) * sqrt_k // 10**6 or 1
        terminal_base = sqrt_k + position
        state |= {
            "base_asset_reserve": sqrt_k,
            "quote_asset_reserve": sqrt_k,
            "terminal_quote_asset_reserve": sqrt_k * sqrt_k // terminal_base,
            "base_asset_amount_with_amm": position,
            "base_asset_amount_with_unsettled_lp": 0,
            "peg_multiplier": price,
            "min_base_asset_reserve": sqrt_k // 2,
            "max_base_asset_reserve": sqrt_k * 3 // 2,
            "last_oracle_price_twap": price,
            "last_oracle_price_twap_5min": price,
            "last_mark_price_twap": price + price * draw(st.integers(-50, 50)) // 10**6,
            "last_mark_price_twap_5min": price + price * draw(st.integers(-50, 50)) // 10**6,
            "last_24h_avg_funding_rate": draw(st.integers(-50, 50)) * price // 24 // 1000,
            "curve_update_intensity": draw(st.sampled_from([101, 150, 200])),
            "reference_price_offset": draw(st.integers(-30, 30)),
            "reference_price_offset_deadband_pct": 0,
            "total_exchange_fee": 0,
            "total_fee_minus_distributions": 10**15,
        }
    data = perp_bytes(
        contract_type="Prediction" if prediction else "Perpetual",
        contract_tier=draw(st.sampled_from(["A", "B", "C", "Speculative", "HighlySpeculative", "Isolated"])),
        **state,
    )
    return AmmState(
        DRIFT_V2.perp_market.read(data),
        decode(data),
        OraclePrice(price, upto(price // 50), 0),
        NOW + draw(st.sampled_from([0, 1, 7, 500, 5000])),
    )
