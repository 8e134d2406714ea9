"""The JavaScript of docs/clients.md: the official client reads what our feed reads, every integer exact."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from drift_bus.nats_server import LocalNatsServer
from drift_schemas import EVENT_TYPES, KINDS, TTL_HEADER, Kind, MarketDataEvent, encode
from drift_schemas.codec import TEXT_FIELDS
from drift_schemas.names import market_token
from drift_subscribers import DriftFeed
from tests.support.buckets import buckets_follow
from tests.support.bus_writer import BusWriter, price_event, sample
from tests.support.kept_fresh import kept_fresh
from tests.support.node import JAVASCRIPT, node_script
from tests.support.wait import wait_until

SCRIPT = JAVASCRIPT / "read_bus.mjs"
MARKETS = ("SOL-PERP", "1M.PEPE-PERP", "_x-PERP", "Ω-PERP")
"""Names that a subject cannot carry are among them."""


def at_the_ends(kind: Kind, market: str, *, low: bool) -> MarketDataEvent:
    """An event whose integers are the largest, or the smallest, that their fields carry."""
    kept = {"schema_version", "epoch", "market_index"}
    widths = {name: width for name, width in EVENT_TYPES[kind].widths().items() if name not in kept}
    return sample(kind, market, **{name: width.low if low else width.high for name, width in widths.items()})


def as_printed(event: MarketDataEvent) -> dict[str, Any]:
    """What the script prints of an event: integers as decimal strings."""
    return {name: str(value) if type(value) is int else value for name, value in event}


@pytest.mark.parametrize("kind", KINDS)
async def test_snapshot_and_live_events_are_the_feeds(kind: Kind, nats_server: LocalNatsServer, tmp_path: Path) -> None:
    async with BusWriter(nats_server.url) as bus:
        stored = {}
        for market in MARKETS:
            stored[market] = await bus.change(at_the_ends(kind, market, low=False))
        await buckets_follow(bus.client, bus.topology)
        async with (
            DriftFeed(nats_server.url) as feed,
            node_script(
                tmp_path, SCRIPT, "--nats-url", nats_server.url, "--kind", kind, "--count", str(2 * len(MARKETS))
            ) as printed,
        ):
            async with kept_fresh(bus) as confirmations:
                snapshot = [await anext(printed) for _ in MARKETS]
            assert {read["event"]["market"] for read in snapshot} == stored.keys()
            for read in snapshot:
                market = read["event"]["market"]
                assert read["from"] == "snapshot"
                assert int(read["sequence"]) in {stored[market], *confirmations}
                assert read["event"] == as_printed(of_feed(feed, kind, market))
            for market in MARKETS:
                await bus.reassert(at_the_ends(kind, market, low=False))  # renews freshness, and is no change
                sequence = await bus.change(at_the_ends(kind, market, low=True))
                read = await anext(printed)
                await wait_until(lambda: of_feed(feed, kind, market).slot < 0)  # noqa: B023
                assert (read["from"], int(read["sequence"])) == ("live", sequence)
                assert read["event"] == as_printed(of_feed(feed, kind, market))


def of_feed(feed: DriftFeed, kind: Kind, market: str) -> MarketDataEvent:
    event: MarketDataEvent | None = getattr(feed, kind)(market)
    assert event is not None, f"{kind} of {market}"
    return event


async def test_one_market_is_read_by_its_escaped_token(nats_server: LocalNatsServer, tmp_path: Path) -> None:
    async with BusWriter(nats_server.url) as bus:
        for market in MARKETS:
            await bus.change(sample("price", market))
        await buckets_follow(bus.client, bus.topology)
        for number, market in enumerate(MARKETS):
            folder = tmp_path / str(number)
            folder.mkdir()
            arguments = ("--nats-url", nats_server.url, "--market", market, "--count", "1")
            async with kept_fresh(bus), node_script(folder, SCRIPT, *arguments) as printed:
                assert (await anext(printed))["event"]["market"] == market, market_token(market)


async def test_a_value_that_expired_and_is_confirmed_again_is_news(
    nats_server: LocalNatsServer, tmp_path: Path
) -> None:
    async with BusWriter(nats_server.url) as bus:
        await bus.change(sample("price", "SOL-PERP"))
        await bus.raw("drift.price.BTC-PERP", encode(sample("price", "BTC-PERP")), {TTL_HEADER: "1s"})

        async def is_marked() -> bool:
            subject = "$JS.API.DIRECT.GET.KV_drift_price.$KV.drift_price.BTC-PERP"
            answer = await bus.client.request(subject, b"", timeout=30)
            return "Nats-Marker-Reason" in (answer.headers or {})

        await wait_until(is_marked, what="the key runs out, and leaves a marker")
        async with node_script(tmp_path, SCRIPT, "--nats-url", nats_server.url, "--count", "2") as printed:
            async with kept_fresh(bus):
                assert (await anext(printed))["event"]["market"] == "SOL-PERP"  # it has subscribed before
            await bus.reassert(sample("price", "SOL-PERP"))
            sequence = await bus.reassert(sample("price", "BTC-PERP"))
            read = await anext(printed)
            assert (read["event"]["market"], int(read["sequence"])) == ("BTC-PERP", sequence)


async def test_it_reads_a_bus_that_begins_later_goes_away_and_is_made_anew(
    nats_server: LocalNatsServer, tmp_path: Path
) -> None:
    async with (
        BusWriter(nats_server.url, make=False) as bus,
        node_script(tmp_path, SCRIPT, "--nats-url", nats_server.url, ends=False) as printed,
    ):

        async def read_after_changes(epoch: int, oracle_price: int) -> None:
            """Changes until the script, which has to subscribe first, prints one of them."""
            while True:
                reading = asyncio.ensure_future(anext(printed))
                while not reading.done():
                    await bus.change(price_event("SOL-PERP", oracle_price, epoch=epoch))
                    await asyncio.wait({reading}, timeout=0.05)
                if reading.result()["event"]["oracle_price"] == str(oracle_price):
                    return

        await bus.make_stream()
        await read_after_changes(epoch=1, oracle_price=1)
        await nats_server.kill()
        await nats_server.start()
        await wait_until(lambda: bus.client.is_connected)
        await read_after_changes(epoch=1, oracle_price=2)
        await bus.delete_everything()
        await bus.make_stream()
        await read_after_changes(epoch=2, oracle_price=3)  # a stream that counts from 1 again, told by the epoch


def test_its_list_of_text_fields_is_the_schemas() -> None:
    source = SCRIPT.read_text().partition("TEXT_FIELDS = new Set([")[2].partition("])")[0]
    assert {name.strip(' "\n') for name in source.split(",") if name.strip()} == set(TEXT_FIELDS)
