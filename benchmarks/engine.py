"""A bench process: an engine with a feed, and the moment at which each event reached it."""

from __future__ import annotations

import argparse
import asyncio
import gc
import sys
import time
from pathlib import Path

from benchmarks.processes import say, serve
from benchmarks.slow_engine import follow_slowly
from drift_schemas import KINDS, Kind, MarketDataEvent
from drift_subscribers import DriftFeed

__all__: list[str] = []


def main() -> int:
    """Streams every kind until stdin closes; says when it was open and when the first event came.

    A line on stdin gives it a neighbour on the same feed that takes an event of each kind a second; the next
    line takes the neighbour away.
    """
    parser = argparse.ArgumentParser(prog="benchmarks.engine")
    parser.add_argument("--nats-url", required=True)
    parser.add_argument("--arrivals", type=Path)
    options = parser.parse_args()
    arrivals: list[tuple[int, MarketDataEvent]] = []
    if options.arrivals:
        gc.disable()  # what it notes grows, and walking that is no part of an engine's latency
    first = asyncio.Event()

    async def follow(feed: DriftFeed, kind: Kind) -> None:
        async with feed.stream(kind) as stream:
            async for event in stream:
                arrivals.append((time.monotonic_ns(), event))
                first.set()

    async def tell_first(feed: DriftFeed) -> None:
        if not feed.statistics().entries:
            await first.wait()
        say(first_ns=time.monotonic_ns())

    feeds: list[DriftFeed] = []
    neighbour: list[asyncio.Task[None]] = []

    def move_neighbour() -> dict[str, object]:
        if neighbour:
            while neighbour:
                neighbour.pop().cancel()
        else:
            neighbour.extend(asyncio.create_task(follow_slowly(feeds[0], kind)) for kind in KINDS)
        return {"neighbour": bool(neighbour)}

    async def work(stop: asyncio.Event) -> None:
        opening_ns = time.monotonic_ns()
        async with DriftFeed(options.nats_url) as feed, asyncio.TaskGroup() as tasks:
            say(opening_ns=opening_ns, open_ns=time.monotonic_ns(), entries=feed.statistics().entries)
            feeds.append(feed)
            following = [tasks.create_task(follow(feed, kind)) for kind in KINDS]
            following.append(tasks.create_task(tell_first(feed)))
            await stop.wait()
            for task in following:
                task.cancel()
            counts = feed.statistics()
        if options.arrivals:
            import orjson  # not before the memory was measured

            wall_ahead_ns = time.time_ns() - time.monotonic_ns()
            with options.arrivals.open("wb") as file:
                for arrived_ns, event in arrivals:
                    file.write(orjson.dumps([arrived_ns, wall_ahead_ns, event.kind, _essence(event)]) + b"\n")
        say(delivered=len(arrivals), gaps=counts.gaps, duplicates=counts.duplicates)

    return serve(work, move_neighbour)


def _essence(event: MarketDataEvent) -> dict[str, object]:
    small = 2**63
    return {
        name: value
        for name, value in event.__dict__.items()
        if not isinstance(value, int) or -small <= value < small  # 128-bit sums are not needed to tell events apart
    }


if __name__ == "__main__":
    sys.exit(main())
