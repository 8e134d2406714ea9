"""Two engines in one process, which know nothing of each other and share one feed and one connection.

python examples/two_engines.py --nats-url nats://127.0.0.1:4222 --seconds 20
"""

import argparse
import asyncio

from drift_schemas import basis_bps, expected_funding_usd
from drift_subscribers import DriftFeed, shared_feed


async def carry(feed: DriftFeed, market: str, position: float = -100.0) -> None:
    """Says what a position would earn in eight hours, at each change of funding."""
    async for funding in feed.stream("funding", market, current=True):
        rate = funding.funding_rate_long if position > 0 else funding.funding_rate_short
        earned = expected_funding_usd(position, rate, funding_period=funding.funding_period, hours=8)
        if earned is not None:
            print(f"carry: {position:+g} {market} earns {earned:+.2f} USD in 8 h [{funding.cluster}]", flush=True)


async def scalp(feed: DriftFeed, market: str, limit_bps: float = 5.0) -> None:
    """Says when the mark price leaves the oracle; an invalid oracle is no signal."""
    async for price in feed.stream("price", market, current=True):
        if not price.oracle_is_valid or price.mark_price is None or price.oracle_price is None:
            continue
        distance = basis_bps(price.mark_price, price.oracle_price)
        if distance is not None and abs(distance) > limit_bps:
            print(f"scalp: {market} mark {distance:+.1f} bp from its oracle [{price.cluster}]", flush=True)


async def carry_engine(nats_url: str, market: str) -> None:
    """An engine takes a reference of its own; the last one to leave closes the connection."""
    async with shared_feed(nats_url) as feed:
        await carry(feed, market)


async def scalp_engine(nats_url: str, market: str) -> None:
    """Another engine, the same few lines."""
    async with shared_feed(nats_url) as feed:
        await scalp(feed, market)


async def main() -> None:
    """Runs both until the time is over."""
    arguments = argparse.ArgumentParser(description="Run two engines on one shared feed.")
    arguments.add_argument("--nats-url", default="nats://127.0.0.1:4222")
    arguments.add_argument("--market", default="SOL-PERP")
    arguments.add_argument("--seconds", type=float, help="stop after so many seconds")
    wanted = arguments.parse_args()

    try:
        async with asyncio.timeout(wanted.seconds), asyncio.TaskGroup() as engines:
            engines.create_task(carry_engine(wanted.nats_url, wanted.market))
            engines.create_task(scalp_engine(wanted.nats_url, wanted.market))
    except TimeoutError:
        pass


if __name__ == "__main__":
    asyncio.run(main())
