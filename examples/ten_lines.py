import asyncio

from drift_subscribers import DriftFeed


async def main() -> None:
    async with DriftFeed("nats://127.0.0.1:4222") as feed:  # returns when the snapshot is complete
        async for price in feed.stream("price", "SOL-PERP"):  # the latest, however slow you are
            funding = feed.funding("SOL-PERP")  # from memory; None when there is none or it is not fresh
            if funding is not None:
                print(f"SOL-PERP {price.floats.oracle_price:.4f} funding {funding.rate_8h_percent:+.4f} % / 8 h")


asyncio.run(main())
