"""A container's health: exits with 0 where a fresh price of one market can be read from the bus, else with 1.

The bus is named by ``DRIFT_BUS_NATS_URL`` and its like, the market by ``DRIFT_BUS_HEALTH_MARKET`` (SOL-PERP).
"""

import asyncio
import os
import sys

from drift_schemas.access import NatsAccess
from drift_subscribers import DriftFeed, FeedError


async def main() -> int:
    """Returns the exit status; says on stderr why it is not 0."""
    servers = os.environ.get("DRIFT_BUS_NATS_URL", "nats://127.0.0.1:4222")
    market = os.environ.get("DRIFT_BUS_HEALTH_MARKET", "SOL-PERP")
    prefix = os.environ.get("DRIFT_BUS_SUBJECT_PREFIX", "drift")
    try:
        access = NatsAccess.from_environment()
        async with DriftFeed(servers, prefix=prefix, kinds=["price"], markets=[market], access=access) as feed:
            feed.require_price(market, valid_oracle=False)
    except (FeedError, ValueError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
