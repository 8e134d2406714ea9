import asyncio

from drift_subscribers import DriftFeed


async def main() -> None:
    async with DriftFeed("nats://127.0.0.1:4222") as feed:  # returns when the snapshot is complete
        async for price in feed.stream("price", "SOL-PERP"):  # the latest, however slow you are
            funding = feed.funding("SOL-PERP")  # from memory; None when there is none or it is not fresh
            oracle, rate = price.floats.oracle_price, funding and funding.rate_8h_percent  # None where there is none
            if price.oracle_is_valid and oracle is not None and rate is not None:
                print(f"SOL-PERP {oracle:.4f} funding {rate:+.4f} % / 8 h")


asyncio.run(main())
