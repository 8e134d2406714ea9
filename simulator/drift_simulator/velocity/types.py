"""Velocity's account, event and enum types, declared in the program's own order.

There is no offset in this file: the layout walker packs the fields one after the other, as the program's explicit
padding lets it. Names are the program's; ``5min`` and ``24h`` keep the underscore that Drift's do without.
"""

from __future__ import annotations

import re
from typing import Any, Final

__all__ = ["velocity_document"]

_ACCOUNTS: Final = ("State", "PerpMarket", "SpotMarket", "PythLazerOracle", "PrelaunchOracle")
_EVENTS: Final = ("FundingRateRecord",)

# One line is "field field field: type"; a list of fields may go on over several lines.
_STRUCTS: Final = {
    "FeeTier": """
        fee_numerator fee_denominator maker_rebate_numerator maker_rebate_denominator referrer_reward_numerator
        referrer_reward_denominator referee_fee_numerator referee_fee_denominator: u32
    """,
    "OrderFillerRewardStructure": """
        time_based_reward_lower_bound: u128
        reward_numerator reward_denominator: u32
        _padding: [u8;8]
    """,
    "FeeStructure": """
        fee_tiers: [FeeTier;10]
        filler_reward_structure: OrderFillerRewardStructure
        flat_filler_fee: u64
        amm_fee_numerator if_fee_numerator: u32
    """,
    "PriceDivergenceGuardRails": """
        mark_oracle_percent_divergence oracle_twap_5min_percent_divergence: u64
    """,
    "ValidityGuardRails": """
        slots_before_stale_for_amm slots_before_stale_for_margin: i64
        confidence_interval_max_size: u64
        too_volatile_ratio: i64
    """,
    "OracleGuardRails": """
        price_divergence: PriceDivergenceGuardRails
        validity: ValidityGuardRails
    """,
    "TransactionFeeRails": """
        inclusion_lamports signature_lamports resource_fee_numerator resource_fee_denominator
        max_priority_micro_lamports_per_cu: u32
    """,
    "State": """
        cold_admin warm_admin pause_admin hot_amm_crank hot_lp_cache hot_lp_swap hot_lp_settle hot_feature_flag
        hot_fuel hot_user_flag hot_vault_deposit hot_mm_oracle_crank hot_amm_spread_adjust whitelist_mint
        discount_mint signer srm_vault: publicKey
        perp_fee_structure spot_fee_structure: FeeStructure
        oracle_guard_rails: OracleGuardRails
        number_of_authorities number_of_sub_accounts: u64
        liquidation_margin_buffer_ratio: u32
        settlement_duration number_of_markets number_of_spot_markets: u16
        signer_nonce min_perp_auction_duration default_market_order_time_in_force default_spot_auction_duration
        exchange_status liquidation_duration: u8
        initial_pct_to_liquidate max_number_of_sub_accounts max_initialize_user_fee: u16
        feature_bit_flags lp_pool_feature_bit_flags solvency_status: u8
        protocol_fee_recipient_perp protocol_fee_recipient_spot hot_fee_withdraw hot_account_extension: publicKey
        promo_fee_tier: u8
        slot_duration_ms pending_slot_duration_ms: u16
        slot_duration_pad: [u8;2]
        slot_duration_effective_slot: u64
        slot_duration_transition_slots: [u64;4]
        hot_vamm_quote_management hot_flow_authority: publicKey
        transaction_fee_rails: TransactionFeeRails
        liquidation_crank_reimbursement_bps sol_spot_market_index: u16
        padding_0: [u8;2]
        padding: [u8;110]
    """,
    "FeeLedger": """
        total_exchange_fee total_liquidation_fee pending_protocol_fee pending_if_fee amm_protocol_fees_received
        pending_amm_provision: u128
    """,
    "PoolBalance": """
        scaled_balance: u128
        market_index: u16
        padding: [u8;2]
        pending_interest_split_dust: u32
        pending_interest_dust: u64
    """,
    "InsuranceClaim": """
        revenue_withdraw_since_last_settle: i64
        max_revenue_withdraw_per_period quote_max_insurance quote_settled_insurance: u64
        last_revenue_withdraw_ts: i64
    """,
    "HistoricalOracleData": """
        last_oracle_price: i64
        last_oracle_conf: u64
        last_oracle_delay last_oracle_price_twap last_oracle_price_twap_5min last_oracle_price_twap_ts: i64
    """,
    "MarketStats": """
        last_mark_price_twap last_mark_price_twap_5min: u64
        last_mark_price_twap_ts: i64
        last_bid_price_twap last_ask_price_twap mark_std oracle_std last_oracle_conf_pct volume_24h
        long_intensity_volume short_intensity_volume: u64
        last_trade_ts last_24h_avg_funding_rate funding_period: i64
        min_order_size: u64
        mm_oracle_price: i64
        mm_oracle_slot mm_oracle_sequence_id: u64
        last_oracle_normalised_price: i64
        last_reference_price_offset: i32
        last_oracle_valid: bool
        padding: [u8;3]
        last_funding_oracle_twap: i64
        historical_oracle_data: HistoricalOracleData
    """,
    "AMM": """
        fee_pool: PoolBalance
        base_asset_reserve quote_asset_reserve concentration_coef min_base_asset_reserve max_base_asset_reserve sqrt_k
        peg_multiplier terminal_quote_asset_reserve: u128
        base_asset_amount_with_amm total_fee total_mm_fee total_fee_minus_distributions: i128
        total_fee_withdrawn ask_base_asset_reserve ask_quote_asset_reserve bid_base_asset_reserve
        bid_quote_asset_reserve: u128
        last_update_slot: u64
        net_revenue_since_last_funding last_cumulative_funding_rate_long last_cumulative_funding_rate_short
        last_oracle_reserve_price_spread_pct: i64
        last_spread_update_slot: u64
        base_spread max_spread long_spread short_spread: u32
        reference_price_offset: i32
        max_fill_reserve_fraction max_slippage_ratio: u16
        curve_update_intensity amm_jit_intensity: u8
        amm_spread_adjustment amm_inventory_spread_adjustment: i8
        reference_price_offset_deadband_pct funding_bias_sensitivity: u8
        padding_post_amm: [u8;2]
    """,
    "HedgeConfig": """
        pool_id status paused_operations exchange_fee_exclusion_scalar fee_transfer_scalar: u8
        padding: [u8;11]
    """,
    "PerpMarket": """
        pubkey: publicKey
        base_asset_amount_long base_asset_amount_short quote_asset_amount quote_entry_amount_long
        quote_entry_amount_short quote_break_even_amount_long quote_break_even_amount_short: i128
        max_open_interest total_social_loss: u128
        cumulative_funding_rate_long cumulative_funding_rate_short: i128
        fee_ledger: FeeLedger
        oracle: publicKey
        pnl_pool protocol_fee_pool: PoolBalance
        protocol_liquidation_fee: u32
        taker_fee_addon_tenth_bps: u16
        _padding_buffer: [u8;2]
        fee_pool_buffer_target: u64
        name: [u8;32]
        insurance_claim: InsuranceClaim
        last_funding_rate last_funding_rate_long last_funding_rate_short last_funding_rate_ts
        net_unsettled_funding_pnl: i64
        funding_clamp_threshold funding_ramp_slope: u32
        order_step_size order_tick_size unrealized_pnl_max_imbalance: u64
        expiry_ts expiry_price: i64
        next_fill_record_id next_funding_rate_record_id: u64
        imf_factor unrealized_pnl_imf_factor liquidator_fee if_liquidation_fee margin_ratio_initial
        margin_ratio_maintenance unrealized_pnl_initial_asset_weight unrealized_pnl_maintenance_asset_weight
        number_of_users_with_base number_of_users: u32
        market_index: u16
        status: MarketStatus
        contract_type: ContractType
        contract_tier: ContractTier
        paused_operations: u8
        quote_spot_market_index: u16
        fee_adjustment: i16
        pending_bankruptcy_claims: u16
        _padding_align_lfp: [u8;4]
        last_fill_price: u64
        pool_id: u8
        _padding_pmm: [u8;2]
        _padding_hedge: [u8;5]
        market_config: u8
        oracle_source: OracleSource
        oracle_slot_delay_override oracle_low_risk_slot_delay_override: i8
        bankruptcy_if_floor_pct: u32
        market_stats: MarketStats
        pending_revenue_share: u64
        amm: AMM
        hedge_config: HedgeConfig
        tail_reserved: [u8;256]
    """,
    "InsuranceFund": """
        vault: publicKey
        total_shares user_shares shares_base: u128
        unstaking_period last_revenue_settle_ts revenue_settle_period: i64
        if_fee_factor: u32
        _padding_if: [u8;4]
    """,
    "HistoricalIndexData": """
        last_index_bid_price last_index_ask_price last_index_price_twap last_index_price_twap_5min: u64
        last_index_price_twap_ts: i64
    """,
    "SpotMarket": """
        pubkey oracle mint vault: publicKey
        name: [u8;32]
        insurance_fund: InsuranceFund
        total_spot_fee deposit_balance borrow_balance cumulative_deposit_interest cumulative_borrow_interest
        total_social_loss total_quote_social_loss: u128
        revenue_pool spot_fee_pool: PoolBalance
        historical_oracle_data: HistoricalOracleData
        historical_index_data: HistoricalIndexData
        withdraw_guard_threshold max_token_deposits deposit_token_twap borrow_token_twap utilization_twap
        last_interest_ts last_twap_ts: u64
        expiry_ts: i64
        order_step_size order_tick_size min_order_size max_position_size: u64
        next_fill_record_id next_deposit_record_id: u64
        initial_asset_weight maintenance_asset_weight initial_liability_weight maintenance_liability_weight imf_factor
        liquidator_fee if_liquidation_fee optimal_utilization optimal_borrow_rate max_borrow_rate decimals: u32
        market_index: u16
        orders_enabled: bool
        oracle_source: OracleSource
        status: MarketStatus
        asset_tier: AssetTier
        paused_operations if_paused_operations: u8
        fee_adjustment: i16
        max_token_borrows_fraction: u16
        flash_loan_amount flash_loan_initial_token_amount total_swap_fee scale_initial_asset_weight_start: u64
        min_borrow_rate token_program_flag pool_id _padding_align_pfp: u8
        withdraw_circuit_breaker_bps max_deposit_bps_per_day: u16
        deposit_guard_threshold: u64
        protocol_fee_pool: PoolBalance
        protocol_liquidation_fee protocol_fee_factor: u32
        if_last_settle_vault_amount: u64
        tail_reserved: [u8;256]
    """,
    "PythLazerOracle": """
        price: i64
        publish_time posted_slot: u64
        exponent: i32
        _padding: [u8;4]
        conf: u64
    """,
    "PrelaunchOracle": """
        price max_price: i64
        confidence last_update_slot amm_last_update_slot: u64
        perp_market_index: u16
        padding: [u8;70]
    """,
    "FundingRateRecord": """
        ts: i64
        record_id: u64
        market_index: u16
        funding_rate: i64
        funding_rate_long funding_rate_short cumulative_funding_rate_long cumulative_funding_rate_short: i128
        oracle_price_twap: i64
        mark_price_twap: u64
        base_asset_amount_with_amm: i128
    """,
}

_ENUMS: Final = {
    "MarketStatus": "Initialized Active ReduceOnly Settlement Delisted",
    "ContractType": "Perpetual DeprecatedFuture DeprecatedPrediction",
    "ContractTier": "A B C Speculative HighlySpeculative Isolated",
    "AssetTier": "Collateral Protected Cross Isolated Unlisted",
    "OracleSource": """
        Pyth DeprecatedSwitchboard QuoteAsset Pyth1K Pyth1M PythStableCoin Prelaunch PythPull Pyth1KPull Pyth1MPull
        PythStableCoinPull DeprecatedSwitchboardOnDemand PythLazer PythLazer1K PythLazer1M PythLazerStableCoin
    """,
}

_LINE: Final = re.compile(r"([\w\s]+):\s*(\S+)")
_ARRAY: Final = re.compile(r"\[(\w+);(\d+)\]")


def velocity_document() -> dict[str, Any]:
    """Return the types as an Anchor IDL of the old form, which :class:`~drift_simulator.layout.Idl` reads."""
    structs = {name: _fields(text) for name, text in _STRUCTS.items()}
    accounts = [{"name": name, "type": {"kind": "struct", "fields": structs[name]}} for name in _ACCOUNTS]
    events = [{"name": name, "fields": structs[name]} for name in _EVENTS]
    types: list[dict[str, Any]] = [
        {"name": name, "type": {"kind": "struct", "fields": fields}}
        for name, fields in structs.items()
        if name not in (*_ACCOUNTS, *_EVENTS)
    ]
    for name, variants in _ENUMS.items():
        types.append(
            {"name": name, "type": {"kind": "enum", "variants": [{"name": word} for word in variants.split()]}}
        )
    return {"accounts": accounts, "types": types, "events": events}


def _fields(text: str) -> list[dict[str, Any]]:
    return [{"name": name, "type": _kind(kind)} for names, kind in _LINE.findall(text) for name in names.split()]


def _kind(text: str) -> Any:
    array = _ARRAY.fullmatch(text)
    if array is not None:
        return {"array": [_kind(array[1]), int(array[2])]}
    return {"defined": text} if text in _STRUCTS or text in _ENUMS else text
