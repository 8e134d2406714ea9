"""When funding settles: the same rule in every program so far.

Source: ``on_the_hour_update`` of drift-labs/protocol-v2 and velocity-exchange/velocity-v1 ``math/helpers.rs``.
"""

from __future__ import annotations

from drift_publisher.accounts import PerpMarket
from drift_schemas import has_settlements

__all__ = ["next_funding_ts"]


def next_funding_ts(market: PerpMarket) -> int | None:
    """Earliest time (Unix seconds) at which the program settles again; ``None`` where nothing settles.

    At whole multiples of the period since the Unix epoch: on the hour where the period is one. An update more than a
    third of the period late skips the next. Velocity also takes a period off a wait of more than two periods: no such
    wait exists, because the lateness is less than one.
    """
    last, period = market.last_funding_rate_ts, market.funding_period
    if not has_settlements(period):
        return None
    late = last % period
    if late == 0:
        return last + period
    return last - late + (2 * period if late > period // 3 else period)
