"""Velocity's market table: the markets of its relaunch at their real numbers and feeds, then synthetic ones."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

from solders.pubkey import Pubkey

from drift_simulator.addresses import synthetic_address
from drift_simulator.listings import PerpListing, SpotListing, price_of

__all__ = ["perp_listings", "spot_listings"]

Address = Callable[[int], Pubkey]
"""The oracle account of a Lazer feed."""

_FEEDS: Final = {"SOL": 6, "BTC": 1, "ETH": 2, "HYPE": 110, "ZEC": 66, "USDT": 8}
_SYNTHETIC_FEEDS: Final = 1_000_000
_PERPS: Final = (("SOL", "B"), ("BTC", "B"), ("ETH", "B"), ("HYPE", "C"), ("ZEC", "C"))


class _Spot(NamedTuple):
    name: str
    feed: str
    mint: str
    decimals: int
    source: str = "PythLazer"


_SPOTS: Final = (
    _Spot("USDT", "USDT", "Es9vMFrzaCERmJfrF4H2FYD4KCoNkY11McCe8BenwNYB", 6, "PythLazerStableCoin"),
    _Spot("SOL", "SOL", "So11111111111111111111111111111111111111112", 9),
    _Spot("wBTC", "BTC", "3NZ9JMVBmGAqocybic2c7LQCJScmgsAZ6vQqTDzcqmJh", 8),
    _Spot("wETH", "ETH", "7vfCXTUXx5WJV5JADk17DUJ4ksgau7utNKj4b963voxs", 8),
    _Spot("ZEC", "ZEC", "A7bdiYdS5GjqGFtxf17ppRHtDKPkkRqbKtR27dxvQXaS", 8),
)


def perp_listings(count: int | None, oracle: Address) -> list[PerpListing]:
    """Return the perp markets of a cluster.

    Args:
        count: How many: first the real ones, then ``SIM5-PERP`` and on. None: the real ones.
        oracle: Gives the account of a Lazer feed.
    """
    wanted = len(_PERPS) if count is None else count
    listings = [
        PerpListing(f"{symbol}-PERP", number, oracle(_FEEDS[symbol]), "PythLazer", price_of(symbol), tier=tier)
        for number, (symbol, tier) in enumerate(_PERPS[:wanted])
    ]
    for number in range(len(_PERPS), wanted):
        name = f"SIM{number}-PERP"
        listings.append(PerpListing(name, number, oracle(_SYNTHETIC_FEEDS + number), "PythLazer", price_of(name)))
    return listings


def spot_listings(count: int | None, oracle: Address) -> list[SpotListing]:
    """Return the spot markets of a cluster, chosen as :func:`perp_listings` chooses."""
    wanted = len(_SPOTS) if count is None else count
    listings = [
        SpotListing(
            name=spot.name,
            index=number,
            oracle=oracle(_FEEDS[spot.feed]),
            oracle_source=spot.source,
            price=price_of(spot.feed),  # one feed for the token and what it wraps
            mint=Pubkey.from_string(spot.mint),
            decimals=spot.decimals,
            tier="Collateral",
        )
        for number, spot in enumerate(_SPOTS[:wanted])
    ]
    for number in range(len(_SPOTS), wanted):
        name = f"SIM{number}"
        account, mint = oracle(2 * _SYNTHETIC_FEEDS + number), synthetic_address(f"{name}:mint")
        listings.append(SpotListing(name, number, account, "PythLazer", price_of(name), mint, 9))
    return listings
