"""A running publisher says whether it is ready, and why not, while things break around it."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from drift_bus.nats_server import LocalNatsServer
from drift_publisher import Publisher
from drift_publisher.vitals import serving_vitals
from drift_simulator import Fault, Simulator
from tests.support.programs import only
from tests.support.publishing import chain_of, running_publisher
from tests.support.wait import wait_until

CANARY = "CANARY0123456789"
PATIENCE_S = 60.0
_ASK_EVERY_S = 0.1
"""Each question is an HTTP request, and some answers take half a minute to come."""


program = only("drift-v2", why="readiness is judged in the same way for each")


class Port:
    """The publisher's HTTP port, as an operator asks it."""

    def __init__(self, publisher: Publisher, http: httpx.AsyncClient, url: str) -> None:
        self.publisher = publisher
        self._http = http
        self._url = url

    async def get(self, path: str) -> httpx.Response:
        return await self._http.get(f"{self._url}{path}")

    async def readiness(self) -> tuple[int, dict[str, Any]]:
        answer = await self.get("/readyz")
        return answer.status_code, answer.json()

    async def ready(self) -> bool:
        return (await self.readiness())[0] == 200

    async def says(self, reason: str, market: str | None = None) -> bool:
        """It is not ready, and gives this reason; of a market, if one is named."""
        status, body = await self.readiness()
        given = body["reasons"] if market is None else body["markets"].get(market, [])
        return status == 503 and reason in {fault["reason"] for fault in given}

    async def wait_ready(self) -> None:
        await wait_until(self.ready, PATIENCE_S, "ready", _ASK_EVERY_S)


@contextlib.asynccontextmanager
async def opened(sim: Simulator, server: LocalNatsServer, **settings: Any) -> AsyncIterator[Port]:
    async with contextlib.AsyncExitStack() as parts:
        port = await parts.enter_async_context(served(sim, server, **settings))
        await port.wait_ready()
        yield port


@contextlib.asynccontextmanager
async def served(sim: Simulator, server: LocalNatsServer, **settings: Any) -> AsyncIterator[Port]:
    """A publisher that may or may not be ready."""
    async with (
        running_publisher(sim, server, **settings) as publisher,
        serving_vitals(publisher.health, host="127.0.0.1", port=0) as number,
        httpx.AsyncClient(timeout=PATIENCE_S) as http,
    ):
        yield Port(publisher, http, f"http://127.0.0.1:{number}")


async def test_chain_and_nats(sim: Simulator, nats_server: LocalNatsServer) -> None:
    async with opened(sim, nats_server, slot_silence_s=2) as port:
        sim.faults.inject(Fault(kind="slot_stuck"))
        await wait_until(lambda: port.says("source down"), PATIENCE_S, every_s=_ASK_EVERY_S)
        sim.faults.clear()
        await port.wait_ready()

        await nats_server.kill()
        await wait_until(lambda: port.says("NATS down"), PATIENCE_S, every_s=_ASK_EVERY_S)
        assert (await port.get("/livez")).status_code == 200
        await nats_server.start()
        await port.wait_ready()


async def test_a_standby_is_alive_and_not_ready_until_it_leads(sim: Simulator, nats_server: LocalNatsServer) -> None:
    async with contextlib.AsyncExitStack() as standing_by:
        async with opened(sim, nats_server):
            standby = await standing_by.enter_async_context(served(sim, nats_server))
            assert await standby.says("not leading")
            assert (await standby.get("/livez")).status_code == 200
        await standby.wait_ready()


async def test_one_market_among_many(sim: Simulator, nats_server: LocalNatsServer) -> None:
    async with opened(sim, nats_server) as port:
        market = chain_of(port.publisher).store.perp_markets[0]
        sim.faults.inject(Fault(kind="missing_account", pubkey=market.oracle))
        await wait_until(lambda: port.says("oracle stale", market.name), PATIENCE_S, every_s=_ASK_EVERY_S)
        sim.faults.clear()
        await port.wait_ready()

        sim.faults.inject(Fault(kind="short_account", pubkey=market.pubkey))
        await wait_until(lambda: port.says("account stale", market.name), PATIENCE_S, every_s=_ASK_EVERY_S)
        await wait_until(lambda: port.says("not stored", market.name), PATIENCE_S, every_s=_ASK_EVERY_S)
        status, body = await port.readiness()
        assert (status, body["reasons"]) == (503, [])
        assert (await port.get("/metrics")).text.count('drift_market_stale{market="') >= 2


async def test_what_a_running_publisher_counts(sim: Simulator, nats_server: LocalNatsServer) -> None:
    urls = {"rpc_url": f"{sim.http_url}/{CANARY}?api-key={CANARY}", "ws_url": f"{sim.ws_url}/{CANARY}"}
    async with opened(sim, nats_server, **urls) as port:
        name = chain_of(port.publisher).store.perp_markets[0].name
        sim.faults.inject(Fault(kind="http_429", count=1))

        async def samples() -> dict[str, float]:
            lines = (await port.get("/metrics")).text.splitlines()
            pairs = (line.rpartition(" ") for line in lines if not line.startswith("#"))
            return {key: float(value) for key, _, value in pairs}

        of_market = f'market="{name}"'
        published = f'drift_events_published_total{{kind="price",{of_market},what="change"}}'

        async def ready_and_measured() -> dict[str, float] | None:
            found = await samples()
            has_measured = found['drift_notification_to_ack_seconds_count{kind="price"}'] > 50 and published in found
            return found if has_measured and found["drift_ready"] else None

        found = await wait_until(ready_and_measured, PATIENCE_S, every_s=_ASK_EVERY_S)
        assert found["drift_ready"] == found["drift_leading"] == 1
        assert found[published] > 0
        assert found["drift_epoch"] >= 1
        assert found["drift_initialization_time"] > 0
        assert found["drift_client_ref_count"] == 1
        assert found["drift_requests_saved_total"] > 50
        assert found[f"drift_oracle_age_slots{{{of_market}}}"] >= 0
        assert found['drift_notification_to_ack_seconds_sum{kind="price"}'] > 0
        assert found['drift_publish_to_ack_seconds_bucket{kind="price",le="10.0"}'] > 50
        for path in ("/metrics", "/readyz", "/livez"):
            assert CANARY not in (await port.get(path)).text


@pytest.mark.parametrize("setting", ["metrics_host", "metrics_port"])
def test_the_port_is_closed_unless_it_is_asked_for(setting: str) -> None:
    from drift_publisher import PublisherSettings

    fields = PublisherSettings.model_fields
    assert (fields["metrics_host"].default, fields["metrics_port"].default) == ("127.0.0.1", None)
