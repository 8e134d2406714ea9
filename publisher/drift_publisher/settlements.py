"""When funding settles: the same rule in every program so far.

Source: ``on_the_hour_update`` of drift-labs/protocol-v2 and velocity-exchange/velocity-v1 ``math/helpers.rs``.
"""

from __future__ import annotations

from drift_publisher.accounts import PerpMarket

__all__ = ["next_funding_ts"]


def next_funding_ts(market: PerpMarket) -> int | None:
    """Earliest time (Unix seconds) at which the program settles again; ``None`` without a period.

    On the hour; an update more than a third of the period late skips to the hour after. Velocity also takes a period
    off a wait of more than two periods: no such wait exists, for the lateness is less than one.
    """
    last, period = market.last_funding_rate_ts, market.funding_period
    if period <= 0:
        return None
    late = last % period
    if late == 0:
        return last + period
    return last - late + (2 * period if late > period // 3 else period)
