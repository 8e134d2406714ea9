"""A bench process: an engine that loses no price, and a line on disk for each that it was given."""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from pathlib import Path

from benchmarks.growth import live_objects
from benchmarks.processes import say, serve
from drift_subscribers import DriftFeed, Lossless

__all__: list[str] = []


def main() -> int:
    """Streams the prices of all markets until stdin closes; a line on stdin asks for the feed's numbers."""
    parser = argparse.ArgumentParser(prog="benchmarks.soak_engine")
    parser.add_argument("--nats-url", required=True)
    parser.add_argument("--received", type=Path, required=True)
    options = parser.parse_args()
    feeds: list[DriftFeed] = []
    received = 0

    async def follow(feed: DriftFeed) -> None:
        nonlocal received
        with options.received.open("w") as file:
            async with feed.stream("price", policy=Lossless()) as stream:
                say(open_ns=time.time_ns())
                async for event in stream:
                    received += 1
                    file.write(f"{event.published_at_ns} {event.market}\n")

    def sample() -> dict[str, object]:
        counts = feeds[0].statistics() if feeds else None
        return {
            "received": received,
            "tasks": len(asyncio.all_tasks()),
            "live": live_objects(),
            "gaps": counts.gaps if counts else 0,
            "repaired": counts.repaired if counts else 0,
            "duplicates": counts.duplicates if counts else 0,
            "resyncs": counts.resyncs if counts else 0,
            "refused": sum(counts.refused.values()) if counts else 0,
        }

    async def work(stop: asyncio.Event) -> None:
        async with DriftFeed(options.nats_url) as feed:
            feeds.append(feed)
            following = asyncio.create_task(follow(feed), name="bench-follow")
            await stop.wait()
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)
            last = sample()
        say(**last)

    return serve(work, sample)


if __name__ == "__main__":
    sys.exit(main())
