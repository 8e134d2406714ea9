"""Velocity's accounts as its events and formulas need them; units as on chain."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["PerpMarket", "SpotMarket", "State"]


class PerpMarket(NamedTuple):
    """The fields of a perp market account that an event or a formula needs.

    Fields that Drift's record has too bear the same names; in the account some of them stand at the top, some in
    ``market_stats`` and some in ``amm``.
    """

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
    oracle_slot_delay_override: int
    oracle_low_risk_slot_delay_override: int
    last_oracle_price: int
    last_oracle_conf: int
    last_oracle_price_twap: int
    last_oracle_price_twap_5min: int
    last_oracle_price_twap_ts: int
    mm_oracle_price: int
    mm_oracle_slot: int
    mm_oracle_sequence_id: int
    base_asset_amount_long: int
    base_asset_amount_short: int
    base_asset_amount_with_amm: int
    max_open_interest: int
    last_funding_rate: int
    last_funding_rate_long: int
    last_funding_rate_short: int
    last_24h_avg_funding_rate: int
    cumulative_funding_rate_long: int
    cumulative_funding_rate_short: int
    last_mark_price_twap: int
    last_mark_price_twap_5min: int
    last_mark_price_twap_ts: int
    last_bid_price_twap: int
    last_ask_price_twap: int
    last_funding_rate_ts: int
    last_funding_oracle_twap: int
    funding_period: int
    funding_clamp_threshold: int
    funding_ramp_slope: int
    total_fee_minus_distributions: int
    order_step_size: int
    order_tick_size: int
    min_order_size: int
    volume_24h: int
    base_asset_reserve: int
    quote_asset_reserve: int
    peg_multiplier: int
    base_spread: int
    long_spread: int
    short_spread: int
    reference_price_offset: int
    last_spread_update_slot: int


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
    insurance_fund_fee_factor: int
    protocol_fee_factor: int
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
    """The program's global account: counts, guard rails, slot length, what is paused.

    Attributes:
        slots_before_stale_for_amm, slots_before_stale_for_margin: In units of 400 ms, whatever the slot length.
        slot_duration_ms: 0 means 400.
        pending_slot_duration_ms: Replaces it from ``slot_duration_effective_slot`` on; 0 where nothing is staged.
        first_350ms_slot, first_300ms_slot, first_250ms_slot, first_200ms_slot: Where slots became as short as that; 0
            for not yet. Once one of them is set, they alone count.
        feature_bit_flags: 1 lets the MM oracle be written, 2 makes the trigger price a median.
    """

    number_of_markets: int
    number_of_spot_markets: int
    exchange_status: int
    feature_bit_flags: int
    mark_oracle_percent_divergence: int
    oracle_twap_5min_percent_divergence: int
    slots_before_stale_for_amm: int
    slots_before_stale_for_margin: int
    confidence_interval_max_size: int
    too_volatile_ratio: int
    slot_duration_ms: int
    pending_slot_duration_ms: int
    slot_duration_effective_slot: int
    first_350ms_slot: int
    first_300ms_slot: int
    first_250ms_slot: int
    first_200ms_slot: int
