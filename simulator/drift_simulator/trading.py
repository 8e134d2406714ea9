"""Trades in a perp market: open interest, volume, fees and the AMM's inventory."""

from __future__ import annotations

import random
from math import exp
from typing import Final

from .amm import reserve_price, swap_base
from .arithmetic import ONE_DAY, ONE_HOUR, clamp, rolling_sum
from .layout import Record

__all__ = ["trade"]

_BASE: Final = 10**9


def trade(record: Record, rng: random.Random, now: int) -> None:
    """One fill: users against each other, or against the AMM when its inventory allows."""
    reserve = max(1, reserve_price(record))
    step = record["order_step_size"]
    quote = round(1e6 * exp(rng.gauss(6.5, 1.2)))
    base = max(step, quote * _BASE // reserve // step * step)
    buys = rng.random() < 0.5
    if rng.random() < 0.3:
        net, limit = record["base_asset_amount_with_amm"], record["sqrt_k"] // 300
        buys = net < 0 if abs(net) > limit else buys
        before = net
        swap_base(record, base if buys else -base)
        change = record["base_asset_amount_with_amm"] - before
        side = "base_asset_amount_long" if change > 0 else "base_asset_amount_short"
        record[side] += change
        fee = quote // 1_000
        record["total_mm_fee"] += fee // 4
    else:
        longs, limit = record["base_asset_amount_long"], record["sqrt_k"]
        opens = longs < limit // 50 or (longs < limit // 8 and rng.random() < 0.5)
        change = base if opens else -min(base, longs, -record["base_asset_amount_short"])
        record["base_asset_amount_long"] += change
        record["base_asset_amount_short"] -= change
        fee = quote // 2_000
    elapsed = max(1, now - record["last_trade_ts"])
    for side, amount in (("long", quote if buys else 0), ("short", 0 if buys else quote)):
        path = f"{side}_intensity_volume"
        record[path] = rolling_sum(record[path], amount, elapsed, ONE_HOUR)
    record["volume24h"] = rolling_sum(record["volume24h"], quote, elapsed, ONE_DAY)
    record["last_trade_ts"] = now
    for path in ("total_fee", "total_exchange_fee", "total_fee_minus_distributions"):
        record[f"{path}"] += fee
    record["net_revenue_since_last_funding"] += fee
    record["next_fill_record_id"] += 1
    record["last_fill_price"] = reserve
    _wander_users(record, rng)


def _wander_users(record: Record, rng: random.Random) -> None:
    users = clamp(record["number_of_users"] + rng.choice((-1, 0, 0, 0, 1)), 10, 10**6)
    record["number_of_users"] = users
    active = record["number_of_users_with_base"] + rng.choice((-1, 0, 0, 1))
    record["number_of_users_with_base"] = clamp(active, 1, users)
