"""Drift's market table: real names, indexes, oracles and mints from driftpy, then synthetic ones."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from drift_simulator.addresses import synthetic_address
from drift_simulator.listings import PerpListing, SpotListing, price_of

from .sdk import perp_configs, spot_configs

__all__ = ["perp_listings", "spot_listings"]

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


def _perp_listing(index: int) -> PerpListing:
    config = perp_configs()[index]
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
    config = spot_configs()[index]
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
    order += [number for number in range(len(perp_configs())) if number not in _DEFAULT_PERPS]
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
    order += [number for number in range(len(spot_configs())) if number not in _DEFAULT_SPOTS]
    wanted = len(_DEFAULT_SPOTS) if count is None else count
    listings = [_spot_listing(number) for number in order[:wanted]]
    for number in range(len(order), wanted):
        name = f"SIM{number}"
        mint = synthetic_address(f"{name}:mint")
        listings.append(SpotListing(name, number, synthetic_address(name), "PythLazer", price_of(name), mint, 9))
    return tuple(sorted(listings, key=lambda listing: listing.index))
