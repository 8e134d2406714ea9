"""Where Velocity's accounts hold what is read of them.

Source: velocity-exchange/velocity-v1, its IDL 2.165.0 and the offset assertions in its program. Accounts have grown at
their end since launch (PerpMarket from 1304 to 1560 bytes, SpotMarket from 808 to 1064) and may again: fields are read
by offset, and the length is a minimum. Account names are those of Drift, so the discriminators are Drift's too: only an
account's owner tells the programs apart.
"""

from __future__ import annotations

from typing import Final

from drift_publisher.layout import Field, Layout
from drift_publisher.profiles.velocity_v1.records import PerpMarket, SpotMarket, State

__all__ = ["PERP_MARKET", "SPOT_MARKET", "STATE"]

_MARKET_STATUS: Final = ("Initialized", "Active", "ReduceOnly", "Settlement", "Delisted")
_CONTRACT_TYPE: Final = ("Perpetual", "DeprecatedFuture", "DeprecatedPrediction")
_CONTRACT_TIER: Final = ("A", "B", "C", "Speculative", "HighlySpeculative", "Isolated")
_ASSET_TIER: Final = ("Collateral", "Protected", "Cross", "Isolated", "Unlisted")
_ORACLE_SOURCE: Final = (
    "Pyth", "DeprecatedSwitchboard", "QuoteAsset", "Pyth1K", "Pyth1M", "PythStableCoin", "Prelaunch", "PythPull",
    "Pyth1KPull", "Pyth1MPull", "PythStableCoinPull", "DeprecatedSwitchboardOnDemand", "PythLazer", "PythLazer1K",
    "PythLazer1M", "PythLazerStableCoin",
)  # fmt: skip

STATE: Final = Layout(
    "State",
    bytes.fromhex("d8926b5e684bb6b1"),
    1552,
    State,
    {
        "mark_oracle_percent_divergence": Field(1288, "u64"),
        "oracle_twap_5min_percent_divergence": Field(1296, "u64"),
        "slots_before_stale_for_amm": Field(1304, "i64"),
        "slots_before_stale_for_margin": Field(1312, "i64"),
        "confidence_interval_max_size": Field(1320, "u64"),
        "too_volatile_ratio": Field(1328, "i64"),
        "number_of_markets": Field(1358, "u16"),
        "number_of_spot_markets": Field(1360, "u16"),
        "exchange_status": Field(1366, "u8"),
        "feature_bit_flags": Field(1374, "u8"),
        "slot_duration_ms": Field(1506, "u16"),
        "pending_slot_duration_ms": Field(1508, "u16"),
        "slot_duration_effective_slot": Field(1512, "u64"),
        "first_350ms_slot": Field(1520, "u64"),
        "first_300ms_slot": Field(1528, "u64"),
        "first_250ms_slot": Field(1536, "u64"),
        "first_200ms_slot": Field(1544, "u64"),
    },
)

PERP_MARKET: Final = Layout(
    "PerpMarket",
    bytes.fromhex("0adf0c2c6bf537f7"),
    1304,
    PerpMarket,
    {
        "pubkey": Field(8, "pubkey"),
        "base_asset_amount_long": Field(40, "i128"),
        "base_asset_amount_short": Field(56, "i128"),
        "max_open_interest": Field(152, "u128"),
        "cumulative_funding_rate_long": Field(184, "i128"),
        "cumulative_funding_rate_short": Field(200, "i128"),
        "oracle": Field(312, "pubkey"),
        "name": Field(424, "name"),
        "last_funding_rate": Field(496, "i64"),
        "last_funding_rate_long": Field(504, "i64"),
        "last_funding_rate_short": Field(512, "i64"),
        "last_funding_rate_ts": Field(520, "i64"),
        "funding_clamp_threshold": Field(536, "u32"),
        "funding_ramp_slope": Field(540, "u32"),
        "order_step_size": Field(544, "u64"),
        "order_tick_size": Field(552, "u64"),
        "expiry_ts": Field(568, "i64"),
        "margin_ratio_initial": Field(616, "u32"),
        "margin_ratio_maintenance": Field(620, "u32"),
        "number_of_users": Field(636, "u32"),
        "market_index": Field(640, "u16"),
        "status": Field(642, "enum", _MARKET_STATUS),
        "contract_type": Field(643, "enum", _CONTRACT_TYPE),
        "contract_tier": Field(644, "enum", _CONTRACT_TIER),
        "paused_operations": Field(645, "u8"),
        "oracle_source": Field(673, "enum", _ORACLE_SOURCE),
        "oracle_slot_delay_override": Field(674, "i8"),
        "oracle_low_risk_slot_delay_override": Field(675, "i8"),
        "last_mark_price_twap": Field(680, "u64"),
        "last_mark_price_twap_5min": Field(688, "u64"),
        "last_mark_price_twap_ts": Field(696, "i64"),
        "last_bid_price_twap": Field(704, "u64"),
        "last_ask_price_twap": Field(712, "u64"),
        "volume_24h": Field(744, "u64"),
        "last_24h_avg_funding_rate": Field(776, "i64"),
        "funding_period": Field(784, "i64"),
        "min_order_size": Field(792, "u64"),
        "mm_oracle_price": Field(800, "i64"),
        "mm_oracle_slot": Field(808, "u64"),
        "mm_oracle_sequence_id": Field(816, "u64"),
        "last_funding_oracle_twap": Field(840, "i64"),
        "last_oracle_price": Field(848, "i64"),
        "last_oracle_conf": Field(856, "u64"),
        "last_oracle_price_twap": Field(872, "i64"),
        "last_oracle_price_twap_5min": Field(880, "i64"),
        "last_oracle_price_twap_ts": Field(888, "i64"),
        "base_asset_reserve": Field(936, "u128"),
        "quote_asset_reserve": Field(952, "u128"),
        "peg_multiplier": Field(1032, "u128"),
        "base_asset_amount_with_amm": Field(1064, "i128"),
        "total_fee_minus_distributions": Field(1112, "i128"),
        "last_spread_update_slot": Field(1248, "u64"),
        "base_spread": Field(1256, "u32"),
        "long_spread": Field(1264, "u32"),
        "short_spread": Field(1268, "u32"),
        "reference_price_offset": Field(1272, "i32"),
    },
)

SPOT_MARKET: Final = Layout(
    "SpotMarket",
    bytes.fromhex("64b1086ba8414127"),
    808,
    SpotMarket,
    {
        "pubkey": Field(8, "pubkey"),
        "oracle": Field(40, "pubkey"),
        "mint": Field(72, "pubkey"),
        "name": Field(136, "name"),
        "insurance_fund_fee_factor": Field(272, "u32"),
        "deposit_balance": Field(296, "u128"),
        "borrow_balance": Field(312, "u128"),
        "cumulative_deposit_interest": Field(328, "u128"),
        "cumulative_borrow_interest": Field(344, "u128"),
        "last_oracle_price_twap": Field(480, "i64"),
        "last_oracle_price_twap_5min": Field(488, "i64"),
        "last_oracle_price_twap_ts": Field(496, "i64"),
        "initial_asset_weight": Field(656, "u32"),
        "maintenance_asset_weight": Field(660, "u32"),
        "initial_liability_weight": Field(664, "u32"),
        "maintenance_liability_weight": Field(668, "u32"),
        "optimal_utilization": Field(684, "u32"),
        "optimal_borrow_rate": Field(688, "u32"),
        "max_borrow_rate": Field(692, "u32"),
        "decimals": Field(696, "u32"),
        "market_index": Field(700, "u16"),
        "oracle_source": Field(703, "enum", _ORACLE_SOURCE),
        "status": Field(704, "enum", _MARKET_STATUS),
        "asset_tier": Field(705, "enum", _ASSET_TIER),
        "min_borrow_rate": Field(744, "u8"),
        "protocol_fee_factor": Field(796, "u32"),
    },
)
