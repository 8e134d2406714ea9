"""A bus whose values stay fresh while a program is started that reads it, and such programs."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator
from typing import Any

from drift_schemas import MarketDataEvent
from tests.support.bus_writer import BusWriter, funding_event, price_event

__all__ = ["LivingPublisher", "living_bus", "running"]


class LivingPublisher(BusWriter):
    """Confirms what it wrote, so that it is still fresh when a slow machine has started the example."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self._turn = asyncio.Lock()
        self._current: dict[tuple[str, str], MarketDataEvent] = {}

    async def change(self, event: MarketDataEvent) -> int:
        async with self._turn:
            self._current[event.kind, event.market] = event
            return await super().change(event)

    async def confirm_until(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            async with self._turn:
                for event in self._current.values():
                    await self.reassert(event)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(1):
                    await stop.wait()


@contextlib.asynccontextmanager
async def living_bus(url: str) -> AsyncIterator[LivingPublisher]:
    """A bus with three markets on it, all of them fresh."""
    stop = asyncio.Event()
    async with LivingPublisher(url) as writer:
        await writer.change(price_event("SOL-PERP", 150_250_000))
        await writer.change(funding_event("SOL-PERP", 1_500_000))
        await writer.change(price_event("BTC-PERP", 95_000_123_456, market_index=1))
        await writer.change(price_event("SOL", 150_240_000))
        confirming = asyncio.create_task(writer.confirm_until(stop))
        try:
            yield writer
        finally:
            stop.set()
            await confirming


@contextlib.asynccontextmanager
async def running(*arguments: str, **options: Any) -> AsyncIterator[asyncio.subprocess.Process]:
    """A Python process with these arguments, gone at the end."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, *arguments, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, **options
    )
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.communicate()
