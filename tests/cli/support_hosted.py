"""A hosted data API on a real socket, and a bus whose events stay fresh while a test looks at them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web

from drift_bus.runtime import wait_for_stop
from drift_schemas import MarketDataEvent
from tests.cli.support import Bus
from tests.support.wait import wait_until

__all__ = ["HostedApi", "fresh_on_bus", "perp", "spot_entry", "stats"]

_REFRESH_S = 2.0


def perp(name: str = "SOL-PERP", index: int = 0, **changes: Any) -> dict[str, Any]:
    """A perp market in the shape of 2026-09-02, with the figures of the sample events on the bus."""
    fields = {
        "symbol": name,
        "marketIndex": index,
        "marketType": "perp",
        "uiStatus": "visible",
        "baseAsset": name.removesuffix("-PERP"),
        "quoteAsset": "USDT",
        "status": "active",
        "precision": 9,
        "limits": {"leverage": {"min": 1, "max": 20}, "amount": {"min": 0.01, "max": 16081.91}},
        "fees": {"maker": -0.000025, "taker": 0.0004},
        "oraclePrice": "150.000000",
        "markPrice": "150.150000",
        "baseVolume": "7.880000",
        "quoteVolume": "781.189477",
        "openInterest": {"long": "123000", "short": "-120000"},
        "fundingRate": {"long": "0.005", "short": "-0.005"},
        "fundingRate24h": "0.007546",
        "fundingRateUpdateTs": 1_788_386_414,
        "price": "149.9",
        "priceChange24h": None,
    }
    return {**fields, **changes}


def spot_entry() -> dict[str, Any]:
    """A spot market, which stands between the perp markets of an answer."""
    return {"symbol": "USDT", "marketIndex": 0, "marketType": "spot", "oraclePrice": "1.000000", "price": ""}


def stats(*markets: dict[str, Any]) -> bytes:
    """A whole answer."""
    return json.dumps({"success": True, "markets": [spot_entry(), *markets]}).encode()


class HostedApi:
    """Answers every GET with what it was last told to.

    Attributes:
        body: Of the answer.
        status: Of the answer.
        headers: Of the answer.
        hangs: ``begin`` never answers, ``middle`` sends a part of the body and then nothing more.
        asked: Path and query of each request.
    """

    def __init__(self) -> None:
        self.body = stats(perp())
        self.status = 200
        self.headers: dict[str, str] = {}
        self.hangs = ""
        self.asked: list[str] = []
        self.url = ""
        self._over = asyncio.Event()

    @classmethod
    @asynccontextmanager
    async def running(cls) -> AsyncIterator[HostedApi]:
        """The API on a free port of this machine."""
        api = cls()
        application = web.Application()
        application.router.add_get("/{path:.*}", api._answer)
        runner = web.AppRunner(application, access_log=None, shutdown_timeout=1)
        await runner.setup()
        try:
            site = web.TCPSite(runner, "127.0.0.1", 0)
            await site.start()
            host, port = runner.addresses[0][:2]
            api.url = f"http://{host}:{port}"
            yield api
        finally:
            api._over.set()
            await runner.cleanup()

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(request.path_qs)
        if self.hangs == "begin":
            await self._over.wait()
        response = web.StreamResponse(status=self.status, headers={"Content-Type": "application/json", **self.headers})
        await response.prepare(request)
        if self.hangs == "middle":
            await response.write(self.body[:20])
            await self._over.wait()
        await response.write(self.body)
        await response.write_eof()
        return response


@asynccontextmanager
async def fresh_on_bus(url: str, *events: MarketDataEvent, prefix: str = "drift") -> AsyncIterator[Bus]:
    """A bus with these events, published again and again: a loaded machine is slower than a bucket's TTL."""
    over = asyncio.Event()
    async with Bus.on(url, prefix) as bus:

        async def publish() -> None:
            for event in events:
                await bus.publish(event)

        async def keep_fresh() -> None:
            while not await wait_for_stop(over, _REFRESH_S):
                await publish()

        async def all_there() -> bool:
            streams = bus.client.jetstream(timeout=30)
            names = {bus.topology.bucket_stream(event.kind) for event in events}
            counts = [(await streams.stream_info(name)).state.messages for name in names]
            return sum(counts) >= len(events)

        await publish()
        await wait_until(all_there, what="the buckets follow the stream")
        keeping = asyncio.ensure_future(keep_fresh())
        try:
            yield bus
        finally:
            over.set()
            await keeping
