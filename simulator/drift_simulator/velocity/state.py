"""Velocity's State account: guard rails, the length of a slot, and how many markets there are."""

from __future__ import annotations

from typing import Final

from solders.pubkey import Pubkey

from drift_simulator.layout import Record

__all__ = ["fill_state"]

_MM_ORACLE_UPDATE: Final = 1
_LONGEST_SLOT_MS: Final = 2**16 - 1


def fill_state(
    record: Record, *, signer: Pubkey, nonce: int, perp_markets: int, spot_markets: int, slot_interval_s: float
) -> None:
    """Fill a State record, guard rails at the program's defaults; its slots are as long as those of the simulation."""
    record.update(
        {
            "signer": bytes(signer),
            "signer_nonce": nonce,
            "number_of_authorities": 1_900,
            "number_of_sub_accounts": 2_400,
            "number_of_markets": perp_markets,
            "number_of_spot_markets": spot_markets,
            "liquidation_margin_buffer_ratio": 200,
            "settlement_duration": 10_800,
            "min_perp_auction_duration": 10,
            "default_market_order_time_in_force": 60,
            "default_spot_auction_duration": 10,
            "liquidation_duration": 150,
            "initial_pct_to_liquidate": 500,
            "max_number_of_sub_accounts": 3_000,
            "feature_bit_flags": _MM_ORACLE_UPDATE,
            "slot_duration_ms": min(max(1, round(slot_interval_s * 1_000)), _LONGEST_SLOT_MS),
            "sol_spot_market_index": 1,
        }
    )
    record.update(
        {
            "price_divergence.mark_oracle_percent_divergence": 100_000,
            "price_divergence.oracle_twap5min_percent_divergence": 500_000,
            "validity.slots_before_stale_for_amm": 10,
            "validity.slots_before_stale_for_margin": 120,
            "validity.confidence_interval_max_size": 20_000,
            "validity.too_volatile_ratio": 5,
        },
        prefix="oracle_guard_rails.",
    )
