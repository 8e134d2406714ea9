"""A history to export, and what its rows should be."""

from __future__ import annotations

import hashlib
from pathlib import Path

from drift_schemas import MarketDataEvent
from drift_subscribers.archive import Manifest
from drift_subscribers.archive.events import ArchivedEvent, read_events
from tests.support.bus_writer import BusWriter, funding_event, market_event, price_event, spot_event

__all__ = ["events_in", "files_in", "fill", "stored"]


async def fill(bus: BusWriter, rounds: int = 20) -> None:
    """Stores changes of every kind, with re-assertions and an epoch between them: 5 changes a round."""
    await bus.raw(bus.topology.subjects.epoch, b"1")
    for number in range(rounds):
        await bus.change(price_event("SOL-PERP", 150_000_000 + number))
        await bus.change(price_event("SOL", 149_000_000 + number, bid_price=None, ask_price=None, mark_price=None))
        await bus.change(
            funding_event(
                "SOL-PERP", 1_000 - number, cumulative_funding_rate_long=10**21 + number, next_funding_ts=None
            )
        )
        await bus.change(market_event("BTC-PERP", number_of_users=number, max_open_interest=10**37))
        await bus.change(spot_event("SOL", deposit_balance=10**30 + number))
        await bus.reassert(price_event("SOL-PERP", 150_000_000 + number))


def stored(bus: BusWriter) -> list[tuple[int, MarketDataEvent]]:
    """Every acknowledged change with its sequence, in the stream's order."""
    return sorted((pair for pairs in bus.stored.values() for pair in pairs), key=lambda pair: pair[0])


def events_in(folder: Path) -> list[ArchivedEvent]:
    """Every event of an export, in its order."""
    manifest = Manifest.load(folder)
    assert manifest is not None
    return list(read_events(folder, manifest))


def files_in(folder: Path) -> dict[str, str]:
    """Checksums of all files of a folder but the lock, by path."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != ".export.lock"
    }
