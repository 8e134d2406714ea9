"""What a publisher of another version, or one gone mad, can put on the bus: each reader skips it, and says so.

What a feed makes of each kind of bad message is in ``tests/subscribers/test_distrust.py``.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from drift_schemas import MAX_MESSAGE_BYTES, SCHEMA_HEADER, encode
from drift_subscribers import DriftFeed
from tests.cli.support import drift_bus
from tests.security.support import PATIENT, Guarded
from tests.support.bus_writer import price_event
from tests.support.wait import wait_until

GOOD, LATER = price_event("SOL-PERP", 1), price_event("BTC-PERP", 2)

BAD = {
    "a later major version": (encode(LATER), {SCHEMA_HEADER: "price/2"}, "unknown schema", "price/2"),
    "garbage": (b"\xc1\xff garbage", {}, "malformed", "no msgpack"),
    "too large": (b"\x00" * (MAX_MESSAGE_BYTES + 1), {}, "too large", "is the limit"),
}


@pytest.mark.parametrize("what", BAD)
async def test_every_reader_skips_it_and_says_why(what: str, guarded: Guarded, tmp_path: Path) -> None:
    payload, headers, cause, words = BAD[what]
    engine, replay = guarded.environment("engine"), guarded.environment("replay")
    async with guarded.writer() as bus:
        await bus.raw("drift.price.BTC-PERP", payload, headers)
        await bus.change(GOOD)
        async with DriftFeed(guarded.url, access=guarded.access("engine"), **PATIENT) as feed:
            assert feed.statistics().refused == {cause: 1}
            await bus.beat()
            await wait_until(feed.status)
            assert feed.price("BTC-PERP") is None

        snapshot = await drift_bus("snapshot", "price", "--json", **engine)
        assert [event["market"] for event in snapshot.objects] in ([], ["SOL-PERP"])  # a price lives 10 s
        replayed = await drift_bus("replay", "--json", **replay)
        assert [event["market"] for event in replayed.objects] == ["SOL-PERP"], replayed.stderr
        exported = await drift_bus("export", str(tmp_path / "history"), **replay)
        assert exported.status == 0, exported.stderr
        assert words in replayed.stderr
        assert "1 messages are not in the export: unreadable" in exported.stderr
        for told in (snapshot, replayed, exported):
            assert "Traceback" not in told.stderr


async def test_more_than_the_stream_takes_is_refused_by_the_server(guarded: Guarded) -> None:
    async with guarded.writer() as bus:
        with pytest.raises(RuntimeError, match="exceeds maximum"):
            await bus.raw("drift.price.BTC-PERP", b"\x00" * (MAX_MESSAGE_BYTES + 8192))
