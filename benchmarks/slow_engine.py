"""A bench process: an engine that takes one event a second, or none at all while it blocks its own loop."""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from typing import Final

from benchmarks.processes import say, serve
from drift_schemas import KINDS, Kind
from drift_subscribers import DriftFeed, Lossless

__all__ = ["follow_slowly"]

_PAUSE_S: Final = 1.0


async def follow_slowly(feed: DriftFeed, kind: Kind, *, block: bool = False) -> None:
    """Takes one event of a kind a second from a lossless stream.

    Args:
        feed: The feed.
        kind: Which kind.
        block: Sleep as an engine that computes for a second does: nothing else runs in its process meanwhile.
    """
    async with feed.stream(kind, policy=Lossless()) as stream:
        async for _ in stream:
            if block:
                time.sleep(_PAUSE_S)
            await asyncio.sleep(0 if block else _PAUSE_S)


def main() -> int:
    """Follows every kind slowly until stdin closes."""
    parser = argparse.ArgumentParser(prog="benchmarks.slow_engine")
    parser.add_argument("--nats-url", required=True)
    parser.add_argument("--block", action="store_true", help="block the whole process between two events")
    options = parser.parse_args()

    async def work(stop: asyncio.Event) -> None:
        async with DriftFeed(options.nats_url) as feed:
            kinds: tuple[Kind, ...] = ("price",) if options.block else KINDS
            following = [asyncio.create_task(follow_slowly(feed, kind, block=options.block)) for kind in kinds]
            say(open=True)
            await stop.wait()
        await asyncio.gather(*following)

    return serve(work)


if __name__ == "__main__":
    sys.exit(main())
