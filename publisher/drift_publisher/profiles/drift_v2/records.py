"""Drift's accounts as its formulas need them; units as on chain."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["PerpMarket", "SpotMarket", "State"]


class PerpMarket(NamedTuple):
    """The fields of a perp market account that an event or a formula needs."""

    pubkey: str
    name: str
    market_index: int
    status: str
    contract_type: str
    contract_tier: str
    paused_operations: int
    number_of_users: int
    expiry_ts: int
    margin_ratio_initial: int
    margin_ratio_maintenance: int
    oracle: str
    oracle_source: str
    last_oracle_price_twap: int
    last_oracle_price_twap_5min: int
    last_oracle_price_twap_ts: int
    base_asset_reserve: int
    quote_asset_reserve: int
    min_base_asset_reserve: int
    max_base_asset_reserve: int
    sqrt_k: int
    peg_multiplier: int
    terminal_quote_asset_reserve: int
    base_asset_amount_long: int
    base_asset_amount_short: int
    base_asset_amount_with_amm: int
    base_asset_amount_with_unsettled_lp: int
    max_open_interest: int
    last_funding_rate: int
    last_funding_rate_long: int
    last_funding_rate_short: int
    last_24h_avg_funding_rate: int
    total_exchange_fee: int
    total_fee_minus_distributions: int
    total_fee_withdrawn: int
    total_liquidation_fee: int
    cumulative_funding_rate_long: int
    cumulative_funding_rate_short: int
    last_mark_price_twap: int
    last_mark_price_twap_5min: int
    last_mark_price_twap_ts: int
    last_oracle_conf_pct: int
    net_revenue_since_last_funding: int
    last_funding_rate_ts: int
    last_funding_oracle_twap: int
    funding_period: int
    order_step_size: int
    order_tick_size: int
    min_order_size: int
    volume_24h: int
    long_intensity_volume: int
    short_intensity_volume: int
    mark_std: int
    oracle_std: int
    base_spread: int
    max_spread: int
    curve_update_intensity: int
    amm_spread_adjustment: int
    amm_inventory_spread_adjustment: int
    reference_price_offset: int
    reference_price_offset_deadband_pct: int


class SpotMarket(NamedTuple):
    """The fields of a spot market account that an event or a formula needs."""

    pubkey: str
    name: str
    market_index: int
    status: str
    asset_tier: str
    mint: str
    decimals: int
    oracle: str
    oracle_source: str
    last_oracle_price_twap: int
    last_oracle_price_twap_5min: int
    last_oracle_price_twap_ts: int
    insurance_fund_total_factor: int
    deposit_balance: int
    borrow_balance: int
    cumulative_deposit_interest: int
    cumulative_borrow_interest: int
    initial_asset_weight: int
    maintenance_asset_weight: int
    initial_liability_weight: int
    maintenance_liability_weight: int
    optimal_utilization: int
    optimal_borrow_rate: int
    max_borrow_rate: int
    min_borrow_rate: int


class State(NamedTuple):
    """The program's global account: counts, guard rails, what is paused."""

    number_of_markets: int
    number_of_spot_markets: int
    exchange_status: int
    slots_before_stale_for_amm: int
    slots_before_stale_for_margin: int
    confidence_interval_max_size: int
    too_volatile_ratio: int
