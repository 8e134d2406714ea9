"""A bench process: engines on one shared feed that keep nothing, as lean as an engine can be."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import sys

from benchmarks.processes import say, serve

__all__: list[str] = []


def main() -> int:
    """Runs so many engines until stdin closes; says how many values they hold when all are open."""
    parser = argparse.ArgumentParser(prog="benchmarks.plain_engine")
    parser.add_argument("--nats-url", required=True)
    parser.add_argument("--engines", type=int, default=1)
    parser.add_argument(
        "--core-only", action="store_true", help="as if aiohttp, which the core does not ask for, were not there"
    )
    options = parser.parse_args()
    if options.core_only:
        sys.modules["aiohttp"] = None  # type: ignore[assignment]
    from drift_schemas import KINDS, Kind
    from drift_subscribers import DriftFeed, shared_feed

    async def follow(feed: DriftFeed, kind: Kind) -> None:
        async with feed.stream(kind) as stream:
            async for _ in stream:
                pass

    async def work(stop: asyncio.Event) -> None:
        async with contextlib.AsyncExitStack() as stack:
            shared = [shared_feed(options.nats_url) for _ in range(options.engines)]
            feeds = [await stack.enter_async_context(reference) for reference in shared]
            following = [asyncio.create_task(follow(feed, kind)) for feed in feeds for kind in KINDS]
            say(entries=feeds[0].statistics().entries)
            await stop.wait()
        await asyncio.gather(*following)

    return serve(work)


if __name__ == "__main__":
    sys.exit(main())
