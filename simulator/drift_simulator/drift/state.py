"""Drift's State account."""

from __future__ import annotations

from solders.pubkey import Pubkey

from drift_simulator.layout import Record

__all__ = ["fill_state"]


def fill_state(record: Record, *, signer: Pubkey, nonce: int, perp_markets: int, spot_markets: int) -> None:
    """Fill a State record for a cluster of so many markets, the other settings as on mainnet."""
    record.update(
        {
            "signer": bytes(signer),
            "signer_nonce": nonce,
            "number_of_authorities": 45_000,
            "number_of_sub_accounts": 61_000,
            "number_of_markets": perp_markets,
            "number_of_spot_markets": spot_markets,
            "lp_cooldown_time": 3_600,
            "liquidation_margin_buffer_ratio": 200,
            "settlement_duration": 10_800,
            "min_perp_auction_duration": 10,
            "default_market_order_time_in_force": 60,
            "default_spot_auction_duration": 10,
            "liquidation_duration": 150,
            "initial_pct_to_liquidate": 500,
            "max_number_of_sub_accounts": 3_000,
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
