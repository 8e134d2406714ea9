"""Users: the accounts that a DriftClient asks for under its own authority."""

from __future__ import annotations

import hashlib
from typing import Final

from solders.keypair import Keypair
from solders.pubkey import Pubkey

from drift_simulator.layout import Record, drift_idl

__all__ = ["DEMO_AUTHORITY", "new_user", "new_user_stats"]

DEMO_AUTHORITY: Final = Keypair.from_seed(hashlib.sha256(b"drift-simulator:demo-authority").digest())
"""The one user that every simulation of Drift has. A key for simulations only: its secret is in the source."""

_DEPOSIT: Final = 25_000 * 10**9


def new_user(authority: Pubkey, slot: int, sub_account_id: int = 0) -> Record:
    """Return the account of a user with a deposit of about 25,000 USDC and no position."""
    record = drift_idl().account("User").record()
    record.update(
        {
            "authority": bytes(authority),
            "name": b"Main Account".ljust(32),
            "spot_positions.0.scaled_balance": _DEPOSIT,
            "spot_positions.0.cumulative_deposits": 25_000_000_000,
            "total_deposits": 25_000_000_000,
            "last_active_slot": slot,
            "next_order_id": 1,
            "next_liquidation_id": 1,
            "sub_account_id": sub_account_id,
        }
    )
    return record


def new_user_stats(authority: Pubkey, now: int) -> Record:
    """Return the statistics account of a user with one sub-account."""
    record = drift_idl().account("UserStats").record()
    record.update(
        {
            "authority": bytes(authority),
            "number_of_sub_accounts": 1,
            "number_of_sub_accounts_created": 1,
            "last_taker_volume30d_ts": now,
            "last_maker_volume30d_ts": now,
        }
    )
    return record
