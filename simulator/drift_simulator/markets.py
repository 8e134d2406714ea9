"""The market table: real names, indexes, oracles and mints from driftpy, then synthetic ones."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from driftpy.constants.perp_markets import mainnet_perp_market_configs
from driftpy.constants.spot_markets import mainnet_spot_market_configs
from solders.pubkey import Pubkey

from .addresses import synthetic_address

__all__ = ["PerpListing", "SpotListing", "perp_listings", "price_of", "spot_listings"]

# Names as on chain where driftpy's table spells them differently.
_CHAIN_NAMES: Final = {"Bonk": "BONK", "jitoSOL": "JitoSOL"}

# SOL, BTC, ETH, APT, 1MBONK, DOGE, BNB, SUI, 1MPEPE, XRP, RLB (Pyth pull), JUP, DRIFT, ZEX (Pyth pull),
# 1KWEN (Pyth pull, 1K), a bet in settlement, 1KMEW (Lazer, 1K), HYPE, a bet that trades, PUMP and 1KPUMP
# (one oracle under two sources).
_DEFAULT_PERPS: Final = (0, 1, 2, 3, 4, 7, 8, 9, 10, 13, 17, 24, 30, 33, 35, 36, 51, 59, 67, 75, 81)
# USDC, SOL, mSOL, wBTC, wETH, USDT, JitoSOL, JTO, WIF, JUP, DRIFT, PYUSD, META (Switchboard), BONK, PUMP.
_DEFAULT_SPOTS: Final = (0, 1, 2, 3, 4, 5, 6, 9, 10, 11, 15, 22, 29, 32, 56)

_SETTLEMENT: Final = 36
_OPERATION_PAUSED: Final = 17
_STATUS_PAUSED: Final = 35

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


def _perp_listing(index: int) -> PerpListing:
    config = mainnet_perp_market_configs[index]
    source = type(config.oracle_source).__name__
    scale = 1_000_000 if "1M" in source else 1_000 if "1K" in source else 1
    symbol = config.base_asset_symbol
    if source == "Prelaunch":
        price, kind, tier = 0.35 + index % 7 * 0.05, "Prediction", "Isolated"
    else:
        price = price_of(symbol[2:] if scale > 1 else symbol) * scale
        kind, tier = "Perpetual", {0: "A", 1: "A", 2: "A", 3: "B", 8: "B", 9: "B", 13: "B"}.get(index, "C")
        tier = "Speculative" if price_of(symbol) < 1 and index > 30 else tier
    status = "Settlement" if index == _SETTLEMENT else "FundingPaused" if index == _STATUS_PAUSED else "Active"
    return PerpListing(
        name=config.symbol[:32],
        index=config.market_index,
        oracle=config.oracle,
        oracle_source=source,
        price=price,
        status=status,
        contract_type=kind,
        tier=tier,
        paused_operations=int(index == _OPERATION_PAUSED),
        expired=index == _SETTLEMENT,
    )


def _spot_listing(index: int) -> SpotListing:
    config = mainnet_spot_market_configs[index]
    name = _CHAIN_NAMES.get(config.symbol, config.symbol)
    return SpotListing(
        name=name,
        index=config.market_index,
        oracle=config.oracle,
        oracle_source=type(config.oracle_source).__name__,
        price=price_of(name),
        mint=config.mint,
        decimals=config.decimals or 6,
        tier="Collateral" if index < 12 else "Cross",
    )


@lru_cache(maxsize=8)
def perp_listings(count: int | None = None) -> tuple[PerpListing, ...]:
    """Return the perp markets of a cluster.

    Args:
        count: How many: first the default ones, then the other real ones, then ``SIM85-PERP`` and on.
            None: only the default ones.
    """
    order = [*_DEFAULT_PERPS]
    order += [number for number in range(len(mainnet_perp_market_configs)) if number not in _DEFAULT_PERPS]
    wanted = len(_DEFAULT_PERPS) if count is None else count
    listings = [_perp_listing(number) for number in order[:wanted]]
    for number in range(len(order), wanted):
        name = f"SIM{number}-PERP"
        listings.append(PerpListing(name, number, synthetic_address(name), "PythLazer", price_of(name)))
    return tuple(sorted(listings, key=lambda listing: listing.index))


@lru_cache(maxsize=8)
def spot_listings(count: int | None = None) -> tuple[SpotListing, ...]:
    """Return the spot markets of a cluster, chosen as :func:`perp_listings` chooses."""
    order = [*_DEFAULT_SPOTS]
    order += [number for number in range(len(mainnet_spot_market_configs)) if number not in _DEFAULT_SPOTS]
    wanted = len(_DEFAULT_SPOTS) if count is None else count
    listings = [_spot_listing(number) for number in order[:wanted]]
    for number in range(len(order), wanted):
        name = f"SIM{number}"
        mint = synthetic_address(f"{name}:mint")
        listings.append(SpotListing(name, number, synthetic_address(name), "PythLazer", price_of(name), mint, 9))
    return tuple(sorted(listings, key=lambda listing: listing.index))
