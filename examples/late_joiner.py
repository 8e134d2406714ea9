"""A late joiner: whoever comes now gets the whole market at once, prints it, and leaves.

python examples/late_joiner.py --nats-url nats://127.0.0.1:4222
"""

import argparse
import asyncio
from collections.abc import Iterator

from drift_subscribers import DriftFeed


def table(feed: DriftFeed) -> Iterator[str]:
    """One line a market, from memory."""
    for name in feed.markets():
        price, funding = feed.price(name), feed.funding(name)
        if price is None:
            yield f"{name:<16} not fresh, last confirmed {feed.age_s('price', name) or 0:.0f} s ago"
            continue
        oracle = price.exact.oracle_price  # a Decimal: exact, as on the chain; None where the account is missing
        shown = f"{oracle}" if oracle is not None and price.oracle_is_valid else "no valid oracle"
        rate = None if funding is None else funding.rate_8h_percent
        yield f"{name:<16} {shown:>16}" + ("" if rate is None else f"  {rate:+.4f} % / 8 h")


async def main() -> None:
    """Prints the table of the snapshot."""
    arguments = argparse.ArgumentParser(description="Print every market as it stands, and exit.")
    arguments.add_argument("--nats-url", default="nats://127.0.0.1:4222")
    wanted = arguments.parse_args()

    async with DriftFeed(wanted.nats_url) as feed:
        for line in table(feed):
            print(line)


if __name__ == "__main__":
    asyncio.run(main())
