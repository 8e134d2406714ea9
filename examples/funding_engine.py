"""An engine that lives on funding: prints each change of drift.funding.SOL-PERP as it happens.

python examples/funding_engine.py --nats-url nats://127.0.0.1:4222 --count 10
"""

import argparse
import asyncio

from drift_schemas import FundingEvent
from drift_subscribers import DriftFeed, Lossless, NatsAccess


def line(funding: FundingEvent) -> str:
    """One change in one line; rates in percent of price per hour, positive where longs pay."""
    settled, estimate = funding.hourly_rate, funding.estimated_hourly_rate_long
    parts = [
        f"{funding.market}  slot {funding.slot}",
        "settled n/a" if settled is None else f"settled {settled:+.6%}/h",
        "estimate n/a" if estimate is None else f"estimate {estimate:+.6%}/h",
    ]
    return "  ".join([*parts, *(["PAUSED"] if funding.is_paused else []), f"[{funding.cluster}]"])


async def follow(feed: DriftFeed, market: str, count: int | None = None) -> None:
    """Prints changes until there were ``count``, or for as long as the feed is open."""
    seen = 0
    # Lossless: every change that the bus has stored, in order, even over a restart of the server.
    async for funding in feed.stream("funding", market, policy=Lossless(), current=True):
        print(line(funding), flush=True)
        seen += 1
        if seen == count:
            break


async def main() -> None:
    """Follows one market until it has seen enough."""
    arguments = argparse.ArgumentParser(description="Print the funding of one market as it changes.")
    arguments.add_argument("--nats-url", default="nats://127.0.0.1:4222")
    arguments.add_argument("--market", default="SOL-PERP")
    arguments.add_argument("--count", type=int, help="stop after so many changes")
    arguments.add_argument("--seconds", type=float, help="stop after so many seconds")
    wanted = arguments.parse_args()

    access = NatsAccess.from_environment()  # the key, where the server asks for one: DRIFT_BUS_NATS_NKEY_SEED_FILE, …
    try:
        async with asyncio.timeout(wanted.seconds), DriftFeed(wanted.nats_url, access=access) as feed:
            await follow(feed, wanted.market, wanted.count)
    except TimeoutError:
        pass


if __name__ == "__main__":
    asyncio.run(main())
