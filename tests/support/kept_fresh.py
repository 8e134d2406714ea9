"""Values that stay fresh for as long as a slow machine takes to start a program that reads them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

from drift_schemas import MarketDataEvent
from tests.support.bus_writer import BusWriter

__all__ = ["kept_fresh"]

_EVERY_S = 1.0


@contextlib.asynccontextmanager
async def kept_fresh(bus: BusWriter, *events: MarketDataEvent) -> AsyncIterator[set[int]]:
    """Confirms ``events`` every second, as the publisher does, until the block ends.

    Without events: whatever the writer stored last of each subject. Gives the sequences of the confirmations; nothing
    is confirmed after the block.
    """
    stop = asyncio.Event()
    sequences: set[int] = set()

    async def confirm() -> None:
        while not stop.is_set():
            for event in events or [stored[-1][1] for stored in bus.stored.values()]:
                sequences.add(await bus.reassert(event))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_EVERY_S):
                    await stop.wait()

    confirming = asyncio.create_task(confirm(), name="values are kept fresh")
    try:
        yield sequences
    finally:
        stop.set()
        await asyncio.wait([confirming])
    confirming.result()
