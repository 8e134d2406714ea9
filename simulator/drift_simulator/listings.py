"""What is fixed about a market, and what a token costs when a simulation starts."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Final

from solders.pubkey import Pubkey

__all__ = ["PerpListing", "SpotListing", "price_of"]

_PRICES: Final = {
    "SOL": 142.5, "BTC": 104_250.0, "ETH": 3_480.0, "APT": 4.85, "BONK": 0.0000145, "POL": 0.23, "ARB":
    0.41, "DOGE": 0.182, "BNB": 655.0, "SUI": 3.35, "PEPE": 0.0000118, "OP": 0.72, "RENDER": 3.9, "XRP":
    2.31, "HNT": 2.9, "INJ": 12.4, "LINK": 15.2, "RLB": 0.058, "PYTH": 0.125, "TIA": 1.62, "JTO": 1.74,
    "SEI": 0.29, "AVAX": 21.5, "WIF": 0.86, "JUP": 0.475, "DYM": 0.24, "TAO": 352.0, "W": 0.078, "KMNO":
    0.061, "TNSR": 0.12, "DRIFT": 0.51, "CLOUD": 0.11, "IO": 0.75, "ZEX": 0.024, "POPCAT": 0.31, "WEN":
    0.0000322, "TON": 3.02, "MOTHER": 0.0046, "MOODENG": 0.142, "DBR": 0.021, "MEW": 0.00271, "MICHI":
    0.022, "GOAT": 0.11, "FWOG": 0.048, "PNUT": 0.23, "RAY": 2.35, "HYPE": 37.8, "LTC": 88.0, "ME":
    0.77, "PENGU": 0.0152, "AI16Z": 0.142, "TRUMP": 9.4, "MELANIA": 0.21, "BERA": 1.92, "KAITO": 1.45,
    "IP": 3.6, "FARTCOIN": 1.08, "ADA": 0.64, "PAXG": 3_342.0, "LAUNCHCOIN": 0.12, "PUMP": 0.0047,
    "ASTER": 1.21, "XPL": 0.33, "2Z": 0.19, "ZEC": 412.0, "MNT": 1.28, "MET": 0.47, "MON": 0.031, "LIT":
    2.4, "mSOL": 186.4, "wBTC": 104_180.0, "wETH": 3_479.0, "JitoSOL": 173.9, "bSOL": 164.0, "INF":
    196.0, "dSOL": 161.0, "JLP": 4.62, "BNSOL": 152.0, "cbBTC": 104_230.0, "META": 6.1, "zBTC":
    104_200.0, "ZEUS": 0.19, "EURC": 1.14, "LBTC": 104_190.0, "USDY": 1.09, "sUSDe": 1.18, "syrupUSDC":
    1.11, "dfdvSOL": 148.0,
}  # fmt: skip


@dataclass(frozen=True)
class PerpListing:
    """What is fixed about a perp market: its name, number, oracle and how it stands at the start.

    ``status``, ``contract_type`` and ``tier`` are the IDL's variant names; ``paused_operations`` is the
    program's bit set (1: funding updates).
    """

    name: str
    index: int
    oracle: Pubkey
    oracle_source: str
    price: float
    status: str = "Active"
    contract_type: str = "Perpetual"
    tier: str = "Speculative"
    paused_operations: int = 0
    expired: bool = False


@dataclass(frozen=True)
class SpotListing:
    """What is fixed about a spot market."""

    name: str
    index: int
    oracle: Pubkey
    oracle_source: str
    price: float
    mint: Pubkey
    decimals: int
    tier: str = "Cross"


def price_of(symbol: str) -> float:
    """Return a realistic price in USD for one unit of a token, the same on every call."""
    base = symbol.partition("-")[0]
    if base in _PRICES:
        return _PRICES[base]
    if base.upper().startswith(("USD", "PYUSD", "AUSD", "CASH")):
        return 1.0
    if base.upper().endswith("SOL"):
        return _PRICES["SOL"]
    seed = int.from_bytes(hashlib.sha256(base.encode()).digest()[:4], "little")
    return round(0.05 + seed / 2**32 * 12, 4)
