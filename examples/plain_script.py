"""No event loop: a plain script, or a thread of an older program, reads and waits for prices.

python examples/plain_script.py --nats-url nats://127.0.0.1:4222 --count 10
"""

import argparse
import sys

from drift_schemas import FundingEvent, PriceEvent
from drift_subscribers import CannotConnect, DriftFeed


def line(price: PriceEvent, funding: FundingEvent | None) -> str:
    """A price and the funding rate of that moment; n/a where there is none, or where it is not to be used."""
    oracle = price.exact.oracle_price if price.oracle_is_valid else None
    rate = None if funding is None else funding.rate_8h_percent
    parts = ["n/a" if oracle is None else f"{oracle}", "n/a" if rate is None else f"{rate:+.4f} % / 8 h"]
    return f"{price.market}  {parts[0]}  funding {parts[1]}  [{price.cluster}]"


def main() -> None:
    """Prints prices as they change, and what funding is at that moment."""
    arguments = argparse.ArgumentParser(description="Print the prices of one market, without asyncio.")
    arguments.add_argument("--nats-url", default="nats://127.0.0.1:4222")
    arguments.add_argument("--market", default="SOL-PERP")
    arguments.add_argument("--count", type=int, default=10, help="stop after so many prices")
    arguments.add_argument("--patience", type=float, help="give up after so many seconds without a price")
    wanted = arguments.parse_args()

    try:
        with DriftFeed.open_sync(wanted.nats_url) as feed:
            prices = feed.stream("price", wanted.market, current=True, timeout_s=wanted.patience)
            for _, price in zip(range(wanted.count), prices, strict=False):
                print(line(price, feed.funding(wanted.market)), flush=True)
    except (CannotConnect, TimeoutError) as error:
        sys.exit(f"plain_script: {error}")


if __name__ == "__main__":
    main()
