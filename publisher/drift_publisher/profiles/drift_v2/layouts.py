"""Where Drift's accounts hold what is read of them.

Source: the program's IDL and drift-labs/protocol-v2 (``state/``).
"""

from __future__ import annotations

from typing import Final

from drift_publisher.layout import Field, Layout
from drift_publisher.profiles.drift_v2.records import PerpMarket, SpotMarket, State

__all__ = ["PERP_MARKET", "SPOT_MARKET", "STATE"]

_MARKET_STATUS: Final = (
    "Initialized", "Active", "FundingPaused", "AmmPaused", "FillPaused", "WithdrawPaused", "ReduceOnly",
    "Settlement", "Delisted",
)  # fmt: skip
_CONTRACT_TYPE: Final = ("Perpetual", "Future", "Prediction")
_CONTRACT_TIER: Final = ("A", "B", "C", "Speculative", "HighlySpeculative", "Isolated")
_ASSET_TIER: Final = ("Collateral", "Protected", "Cross", "Isolated", "Unlisted")
_ORACLE_SOURCE: Final = (
    "Pyth", "Switchboard", "QuoteAsset", "Pyth1K", "Pyth1M", "PythStableCoin", "Prelaunch", "PythPull", "Pyth1KPull",
    "Pyth1MPull", "PythStableCoinPull", "SwitchboardOnDemand", "PythLazer", "PythLazer1K", "PythLazer1M",
    "PythLazerStableCoin",
)  # fmt: skip

STATE: Final = Layout(
    "State",
    bytes.fromhex("d8926b5e684bb6b1"),
    975,
    State,
    {
        "slots_before_stale_for_amm": Field(904, "i64"),
        "slots_before_stale_for_margin": Field(912, "i64"),
        "confidence_interval_max_size": Field(920, "u64"),
        "too_volatile_ratio": Field(928, "i64"),
        "number_of_markets": Field(966, "u16"),
        "number_of_spot_markets": Field(968, "u16"),
        "exchange_status": Field(974, "u8"),
    },
)

PERP_MARKET: Final = Layout(
    "PerpMarket",
    bytes.fromhex("0adf0c2c6bf537f7"),
    1216,
    PerpMarket,
    {
        "pubkey": Field(8, "pubkey"),
        "oracle": Field(40, "pubkey"),
        "last_oracle_price_twap": Field(96, "i64"),
        "last_oracle_price_twap_5min": Field(104, "i64"),
        "last_oracle_price_twap_ts": Field(112, "i64"),
        "base_asset_reserve": Field(176, "u128"),
        "quote_asset_reserve": Field(192, "u128"),
        "min_base_asset_reserve": Field(224, "u128"),
        "max_base_asset_reserve": Field(240, "u128"),
        "sqrt_k": Field(256, "u128"),
        "peg_multiplier": Field(272, "u128"),
        "terminal_quote_asset_reserve": Field(288, "u128"),
        "base_asset_amount_long": Field(304, "i128"),
        "base_asset_amount_short": Field(320, "i128"),
        "base_asset_amount_with_amm": Field(336, "i128"),
        "base_asset_amount_with_unsettled_lp": Field(352, "i128"),
        "max_open_interest": Field(368, "u128"),
        "last_funding_rate": Field(480, "i64"),
        "last_funding_rate_long": Field(488, "i64"),
        "last_funding_rate_short": Field(496, "i64"),
        "last_24h_avg_funding_rate": Field(504, "i64"),
        "total_exchange_fee": Field(544, "u128"),
        "total_fee_minus_distributions": Field(560, "i128"),
        "total_fee_withdrawn": Field(576, "u128"),
        "total_liquidation_fee": Field(592, "u128"),
        "cumulative_funding_rate_long": Field(608, "i128"),
        "cumulative_funding_rate_short": Field(624, "i128"),
        "last_mark_price_twap": Field(752, "u64"),
        "last_mark_price_twap_5min": Field(760, "u64"),
        "last_oracle_conf_pct": Field(776, "u64"),
        "net_revenue_since_last_funding": Field(784, "i64"),
        "last_funding_rate_ts": Field(792, "i64"),
        "funding_period": Field(800, "i64"),
        "order_step_size": Field(808, "u64"),
        "order_tick_size": Field(816, "u64"),
        "min_order_size": Field(824, "u64"),
        "volume_24h": Field(840, "u64"),
        "long_intensity_volume": Field(848, "u64"),
        "short_intensity_volume": Field(856, "u64"),
        "mark_std": Field(872, "u64"),
        "oracle_std": Field(880, "u64"),
        "last_mark_price_twap_ts": Field(888, "i64"),
        "base_spread": Field(896, "u32"),
        "max_spread": Field(900, "u32"),
        "curve_update_intensity": Field(924, "u8"),
        "oracle_source": Field(926, "enum", _ORACLE_SOURCE),
        "amm_spread_adjustment": Field(934, "i8"),
        "reference_price_offset": Field(960, "i32"),
        "amm_inventory_spread_adjustment": Field(964, "i8"),
        "reference_price_offset_deadband_pct": Field(965, "u8"),
        "last_funding_oracle_twap": Field(968, "i64"),
        "name": Field(1000, "name"),
        "expiry_ts": Field(1080, "i64"),
        "margin_ratio_initial": Field(1136, "u32"),
        "margin_ratio_maintenance": Field(1140, "u32"),
        "number_of_users": Field(1156, "u32"),
        "market_index": Field(1160, "u16"),
        "status": Field(1162, "enum", _MARKET_STATUS),
        "contract_type": Field(1163, "enum", _CONTRACT_TYPE),
        "contract_tier": Field(1164, "enum", _CONTRACT_TIER),
        "paused_operations": Field(1165, "u8"),
    },
)

SPOT_MARKET: Final = Layout(
    "SpotMarket",
    bytes.fromhex("64b1086ba8414127"),
    776,
    SpotMarket,
    {
        "pubkey": Field(8, "pubkey"),
        "oracle": Field(40, "pubkey"),
        "mint": Field(72, "pubkey"),
        "name": Field(136, "name"),
        "last_oracle_price_twap": Field(192, "i64"),
        "last_oracle_price_twap_5min": Field(200, "i64"),
        "last_oracle_price_twap_ts": Field(208, "i64"),
        "insurance_fund_total_factor": Field(408, "u32"),
        "deposit_balance": Field(432, "u128"),
        "borrow_balance": Field(448, "u128"),
        "cumulative_deposit_interest": Field(464, "u128"),
        "cumulative_borrow_interest": Field(480, "u128"),
        "initial_asset_weight": Field(640, "u32"),
        "maintenance_asset_weight": Field(644, "u32"),
        "initial_liability_weight": Field(648, "u32"),
        "maintenance_liability_weight": Field(652, "u32"),
        "optimal_utilization": Field(668, "u32"),
        "optimal_borrow_rate": Field(672, "u32"),
        "max_borrow_rate": Field(676, "u32"),
        "decimals": Field(680, "u32"),
        "market_index": Field(684, "u16"),
        "oracle_source": Field(687, "enum", _ORACLE_SOURCE),
        "status": Field(688, "enum", _MARKET_STATUS),
        "asset_tier": Field(689, "enum", _ASSET_TIER),
        "min_borrow_rate": Field(728, "u8"),
    },
)
