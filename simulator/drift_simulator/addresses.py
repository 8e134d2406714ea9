"""Program ids, and the addresses of what belongs to no program."""

from __future__ import annotations

import hashlib
from typing import Final

from solders.pubkey import Pubkey

__all__ = [
    "DRIFT_PROGRAM",
    "GENESIS_HASH",
    "PYTH_LEGACY_PROGRAM",
    "PYTH_RECEIVER_PROGRAM",
    "SWITCHBOARD_PROGRAM",
    "VELOCITY_PROGRAM",
    "synthetic_address",
]

DRIFT_PROGRAM: Final = Pubkey.from_string("dRiftyHA39MWEi3m9aunc5MzRF1JYuBsbn6VPcn33UH")
VELOCITY_PROGRAM: Final = Pubkey.from_string("vELoC1audYbSYVRXn1vPaV8Axoa9oU6BYmNGZZBDZ1P")
PYTH_RECEIVER_PROGRAM: Final = Pubkey.from_string("rec5EKMGg6MxZYaMdyBfgwp4d5rB9T1VQH5pJv5LtFJ")
PYTH_LEGACY_PROGRAM: Final = Pubkey.from_string("FsJ3A3u2vn5cTVofAjvy6y5kwABJAqYWpe4975bi2epH")
SWITCHBOARD_PROGRAM: Final = Pubkey.from_string("SBondMDrcV3K4kxZR1HNVT7osZxAHVHgYXL5Ze1oMUv")

# The simulation's own, not mainnet's: whoever asks can tell simulated data from real.
GENESIS_HASH: Final = "62bsvVUX3hLFJxRQB5A1sua6N58qxZZSpXkNEHj7xL68"


def synthetic_address(purpose: str) -> Pubkey:
    """Return a deterministic address for something that has none on mainnet."""
    return Pubkey.from_bytes(hashlib.sha256(f"drift-simulator:{purpose}".encode()).digest())
