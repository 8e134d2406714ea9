"""Program ids and program-derived addresses, as on Solana mainnet."""

from __future__ import annotations

import hashlib
from functools import lru_cache

from solders.pubkey import Pubkey

__all__ = [
    "DRIFT_PROGRAM",
    "GENESIS_HASH",
    "PYTH_LEGACY_PROGRAM",
    "PYTH_RECEIVER_PROGRAM",
    "SWITCHBOARD_PROGRAM",
    "SYSTEM_PROGRAM",
    "insurance_vault_address",
    "perp_market_address",
    "prelaunch_oracle_address",
    "signer_address",
    "spot_market_address",
    "spot_vault_address",
    "state_address",
    "synthetic_address",
    "user_address",
    "user_stats_address",
]

DRIFT_PROGRAM = Pubkey.from_string("dRiftyHA39MWEi3m9aunc5MzRF1JYuBsbn6VPcn33UH")
PYTH_RECEIVER_PROGRAM = Pubkey.from_string("rec5EKMGg6MxZYaMdyBfgwp4d5rB9T1VQH5pJv5LtFJ")
PYTH_LEGACY_PROGRAM = Pubkey.from_string("FsJ3A3u2vn5cTVofAjvy6y5kwABJAqYWpe4975bi2epH")
SWITCHBOARD_PROGRAM = Pubkey.from_string("SBondMDrcV3K4kxZR1HNVT7osZxAHVHgYXL5Ze1oMUv")
SYSTEM_PROGRAM = Pubkey.default()

# The simulation's own, not mainnet's: whoever asks can tell simulated data from real.
GENESIS_HASH = "62bsvVUX3hLFJxRQB5A1sua6N58qxZZSpXkNEHj7xL68"


@lru_cache(maxsize=4096)
def _derive(*seeds: bytes) -> tuple[Pubkey, int]:
    return Pubkey.find_program_address(list(seeds), DRIFT_PROGRAM)


def _index(number: int) -> bytes:
    return number.to_bytes(2, "little")


def state_address() -> Pubkey:
    """Return the address of the program's State account."""
    return _derive(b"drift_state")[0]


def signer_address() -> tuple[Pubkey, int]:
    """Return the program's signer and its bump."""
    return _derive(b"drift_signer")


def perp_market_address(index: int) -> Pubkey:
    """Return the address of a perp market."""
    return _derive(b"perp_market", _index(index))[0]


def spot_market_address(index: int) -> Pubkey:
    """Return the address of a spot market."""
    return _derive(b"spot_market", _index(index))[0]


def spot_vault_address(index: int) -> Pubkey:
    """Return the token vault of a spot market."""
    return _derive(b"spot_market_vault", _index(index))[0]


def insurance_vault_address(index: int) -> Pubkey:
    """Return the insurance-fund vault of a spot market."""
    return _derive(b"insurance_fund_vault", _index(index))[0]


def prelaunch_oracle_address(perp_market_index: int) -> Pubkey:
    """Return the prelaunch oracle of a perp market."""
    return _derive(b"prelaunch_oracle", _index(perp_market_index))[0]


def user_address(authority: Pubkey, sub_account_id: int = 0) -> Pubkey:
    """Return a user's sub-account."""
    return _derive(b"user", bytes(authority), _index(sub_account_id))[0]


def user_stats_address(authority: Pubkey) -> Pubkey:
    """Return a user's statistics account."""
    return _derive(b"user_stats", bytes(authority))[0]


def synthetic_address(purpose: str) -> Pubkey:
    """Return a deterministic address for something that has none on mainnet."""
    return Pubkey.from_bytes(hashlib.sha256(f"drift-simulator:{purpose}".encode()).digest())
