"""A bench process: a reader of all prices, by a feed or by bare nats-py, that notes what came when."""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from pathlib import Path
from typing import Final, TextIO

import nats
from nats.aio.msg import Msg

from benchmarks.processes import say, serve
from drift_schemas import REASSERTION_HEADER, Topology, decode_event
from drift_schemas.access import close_quietly
from drift_subscribers import DriftFeed, FeedError, Lossless, StaleData

__all__: list[str] = []

_LOOK_EVERY_S: Final = 0.01


def main() -> int:
    """Reads until stdin closes, and writes ``received``, ``arrivals`` and, of a feed, ``standing`` into a folder.

    ``received`` has a line per price, its ``published_at_ns`` and market; ``arrivals`` when that came, in wall
    nanoseconds, and ``published_at_ns``; ``standing`` each change of the feed's state, of how many prices are
    fresh, and of why one is not.
    """
    parser = argparse.ArgumentParser(prog="benchmarks.witness")
    parser.add_argument("--nats-url", required=True)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--bare", action="store_true", help="a core subscription of nats-py with its default settings")
    options = parser.parse_args()
    folder: Path = options.folder
    folder.mkdir()

    async def work(stop: asyncio.Event) -> None:
        with (folder / "received").open("w") as received, (folder / "arrivals").open("w") as arrivals:

            def note(market: str, published_ns: int) -> None:
                received.write(f"{published_ns} {market}\n")
                arrivals.write(f"{time.time_ns()} {published_ns}\n")

            async def on_message(message: Msg) -> None:
                headers = message.headers or {}
                if REASSERTION_HEADER not in headers:
                    event = decode_event("price", message.data, headers)
                    note(event.market, event.published_at_ns)

            if options.bare:
                client = await nats.connect(options.nats_url, error_cb=_ignore)
                await client.subscribe(f"{Topology().prefix}.price.*", cb=on_message)
                await client.flush()
                say(open_ns=time.time_ns())
                await stop.wait()
                await close_quietly(client)
                return
            with (folder / "standing").open("w") as standing:
                async with DriftFeed(options.nats_url) as feed:
                    stream = feed.stream("price", policy=Lossless())
                    say(open_ns=time.time_ns())
                    watching = asyncio.create_task(_watch(feed, standing), name="bench-watch")

                    async def follow() -> None:
                        async for event in stream:
                            note(event.market, event.published_at_ns)

                    following = asyncio.create_task(follow(), name="bench-follow")
                    await stop.wait()
                    watching.cancel()
                    await asyncio.gather(watching, return_exceptions=True)
                await following
                say(
                    **{
                        name: getattr(feed.statistics(), name)
                        for name in ("gaps", "repaired", "resyncs", "disconnects")
                    }
                )

    return serve(work)


async def _watch(feed: DriftFeed, standing: TextIO) -> None:
    told = ""
    while True:
        markets = feed.markets("price")
        fresh = sum(feed.price(market) is not None for market in markets)
        if (now := f"{feed.state} {fresh} {len(markets)} {_reason(feed, markets)}") != told:
            told = now
            standing.write(f"{time.time_ns()} {now}\n")
        await asyncio.sleep(_LOOK_EVERY_S)


def _reason(feed: DriftFeed, markets: list[str]) -> str:
    """Why the first price that is not fresh is not to be used."""
    for market in markets:
        try:
            feed.require_price(market, valid_oracle=False)
        except StaleData as stale:
            return stale.reason
        except FeedError as error:
            return type(error).__name__
    return ""


async def _ignore(_: Exception) -> None:
    pass


if __name__ == "__main__":
    sys.exit(main())
