"""A bench process: an engine that reads its feed's memory, over and over, and tells what one read takes."""

from __future__ import annotations

import argparse
import asyncio
import itertools
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Final

from benchmarks.processes import say, serve
from drift_subscribers import DriftFeed

__all__: list[str] = []

_READS: Final = 200_000
_ROUNDS: Final = 5
_PAUSE_S: Final = 0.2


def _read_ns(read: Callable[[str], object], names: list[str]) -> tuple[float, float]:
    """Wall and CPU nanoseconds of one read over all names in turn, the loop around it taken off."""
    every = list(itertools.islice(itertools.cycle(names), _READS))
    clocks = (time.perf_counter_ns, time.process_time_ns)
    begin = [clock() for clock in clocks]
    for _name in every:
        pass
    between = [clock() for clock in clocks]
    for name in every:
        read(name)
    end = [clock() for clock in clocks]
    wall, cpu = (
        (after - middle - (middle - before)) / _READS for before, middle, after in zip(begin, between, end, strict=True)
    )
    return wall, cpu


def main() -> int:
    """Measures each read against a dict's, the quietest round of a few, and says nanoseconds."""
    parser = argparse.ArgumentParser(prog="benchmarks.reader")
    parser.add_argument("--nats-url", required=True)
    options = parser.parse_args()

    async def work(stop: asyncio.Event) -> None:
        async with DriftFeed(options.nats_url) as feed:
            perps = feed.markets("funding")
            spots = feed.markets("spot")
            reads: dict[str, tuple[Callable[[str], object], list[str]]] = {
                "a dict's get": (dict.fromkeys(perps, 1).get, perps),
                "feed.price": (feed.price, perps),
                "feed.funding": (feed.funding, perps),
                "feed.market": (feed.market, perps),
                "feed.spot": (feed.spot, spots),
                "feed.require_price": (partial(feed.require_price, valid_oracle=False), perps),
            }
            found: dict[str, list[tuple[float, float]]] = {name: [] for name in reads}
            for _ in range(_ROUNDS):
                for name, (read, names) in reads.items():
                    if any(read(market) is None for market in names):
                        raise RuntimeError(f"{name}: a value is not fresh, so this would measure something else")
                    found[name].append(_read_ns(read, names))
                    await asyncio.sleep(_PAUSE_S)  # the feed lives on
            say(markets=len(perps), reads=found)
            await stop.wait()

    return serve(work)


if __name__ == "__main__":
    sys.exit(main())
