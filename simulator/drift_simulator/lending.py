"""Interest and averages of a spot market (the program's math and controller ``spot_balance.rs``)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from .arithmetic import (
    FIVE_MINUTES,
    ONE_DAY,
    ONE_HOUR,
    ONE_MINUTE,
    PERCENTAGE,
    new_twap,
    sanitize_price,
    weighted_average,
)
from .layout import Record
from .oracles import OraclePrice

__all__ = ["Cut", "accrue", "borrow_rate", "scaled_balance", "token_amount", "utilization"]

Cut = tuple[str, str]
"""A share of the lenders' interest that goes elsewhere: the field that holds it (1e-6), and the pool that gets it."""

_ONE_YEAR: Final = 31_536_000
_SEGMENTS: Final = (
    (850_000, 50),
    (900_000, 100),
    (950_000, 150),
    (990_000, 200),
    (995_000, 250),
    (1_000_000, 250),
)
_BAND_BY_TIER: Final = {0: 10, 1: 10, 2: 5, 3: 3}


def token_amount(market: Record, side: str) -> int:
    """Return the tokens behind a side's scaled balance, in the mint's smallest unit.

    Args:
        market: The SpotMarket record.
        side: ``deposit`` or ``borrow``; borrows round up.
    """
    scale: int = 10 ** (19 - market["decimals"])
    product = market[f"{side}_balance"] * market[f"cumulative_{side}_interest"]
    return product // scale if side == "deposit" else -(-product // scale)


def scaled_balance(market: Record, tokens: int, side: str) -> int:
    """Return the scaled balance that stands for ``tokens``."""
    scale: int = 10 ** (19 - market["decimals"])
    return tokens * scale // market[f"cumulative_{side}_interest"]


def utilization(deposits: int, borrows: int) -> int:
    """Return borrowed over deposited, 1e-6."""
    if deposits == 0:
        return PERCENTAGE if borrows else 0
    return borrows * PERCENTAGE // deposits


def borrow_rate(market: Record, used: int) -> int:
    """Return the yearly borrow rate at a utilization, both 1e-6: a slope, then ever steeper segments."""
    optimal, at_optimal = market["optimal_utilization"], market["optimal_borrow_rate"]
    if used <= optimal:
        rate = used * (at_optimal * PERCENTAGE // optimal) // PERCENTAGE
    else:
        extra = market["max_borrow_rate"] - at_optimal
        rate, start = at_optimal, optimal
        for end, weight in _SEGMENTS:
            part = extra * weight // 1_000
            if used <= end:
                rate += part * (used - start) // (end - start)
                break
            rate, start = rate + part, end
    return max(rate, market["min_borrow_rate"] * (PERCENTAGE // 200))


def accrue(market: Record, oracle: OraclePrice, now: int, cuts: Sequence[Cut]) -> None:
    """Bring interest and averages to ``now``, in place."""
    _accrue_interest(market, now, cuts)
    _update_averages(market, oracle, now)


def _accrue_interest(market: Record, now: int, cuts: Sequence[Cut]) -> None:
    elapsed = now - market["last_interest_ts"]
    used = utilization(token_amount(market, "deposit"), token_amount(market, "borrow"))
    if elapsed <= 0 or used == 0:
        return
    borrow_time = borrow_rate(market, used) * elapsed
    deposit_time = borrow_time * used // PERCENTAGE
    borrow_interest = market["cumulative_borrow_interest"] * borrow_time // _ONE_YEAR // PERCENTAGE + 1
    deposit_interest = market["cumulative_deposit_interest"] * deposit_time // _ONE_YEAR // PERCENTAGE
    shares = {pool: deposit_interest * market[factor] // PERCENTAGE for factor, pool in cuts}
    lenders = deposit_interest - sum(shares.values())
    if lenders <= 0 or borrow_interest <= 1:
        return
    market["cumulative_deposit_interest"] += lenders
    market["cumulative_borrow_interest"] += borrow_interest
    market["last_interest_ts"] = now
    balance = market["deposit_balance"]
    for pool, share in shares.items():
        tokens = balance * share // 10 ** (19 - market["decimals"])
        revenue = scaled_balance(market, tokens, "deposit")
        market[f"{pool}.scaled_balance"] += revenue
        market["deposit_balance"] += revenue


def _update_averages(market: Record, oracle: OraclePrice, now: int) -> None:
    since_last = max(0, now - market["last_twap_ts"])
    rest = max(1, ONE_DAY - since_last)
    deposits, borrows = token_amount(market, "deposit"), token_amount(market, "borrow")
    current = {
        "deposit_token_twap": deposits,
        "borrow_token_twap": borrows,
        "utilization_twap": utilization(deposits, borrows),
    }
    for path, value in current.items():
        market[path] = weighted_average(value, market[path], since_last, rest)
    history = "historical_oracle_data."
    last_twap, last_ts = (
        market[history + "last_oracle_price_twap"],
        market[history + "last_oracle_price_twap_ts"],
    )
    capped = sanitize_price(oracle.price, last_twap, _BAND_BY_TIER.get(market["asset_tier"]))
    twap = new_twap(capped, now, last_twap, last_ts, ONE_HOUR)
    last_5min = market[history + "last_oracle_price_twap5min"]
    market.update(
        {
            "last_oracle_price": oracle.price,
            "last_oracle_conf": oracle.confidence,
            "last_oracle_delay": oracle.delay,
        },
        prefix=history,
    )
    if twap != last_twap or since_last >= ONE_MINUTE:
        market[history + "last_oracle_price_twap5min"] = new_twap(capped, now, last_5min, last_ts, FIVE_MINUTES)
        market[history + "last_oracle_price_twap"] = twap
        market[history + "last_oracle_price_twap_ts"] = now
    market["last_twap_ts"] = now
