"""An engine in a process of its own: a line of JSON now and then about its clock and one price.

python -m tests.deployment.engine_process NATS_URL MARKET
"""

import asyncio
import json
import sys
import time

from drift_subscribers import DriftFeed


async def main(url: str, market: str) -> None:
    """Tells until it is killed."""
    async with DriftFeed(url) as feed:
        while True:
            price = feed.price(market)
            said = {"wall_s": time.time(), "price": price and price.oracle_price, "slot": price and price.slot}
            sys.stdout.write(json.dumps(said) + "\n")
            sys.stdout.flush()
            await asyncio.sleep(0.1)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
