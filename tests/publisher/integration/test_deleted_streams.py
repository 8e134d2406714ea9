"""Somebody deletes or purges stream or buckets under a living publisher: all of it is back within seconds."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import nats
import pytest
from nats.aio.client import Client

from drift_bus.nats_server import LocalNatsServer
from drift_publisher.publisher import Publisher
from drift_schemas import KINDS, Kind, StatusEvent, Topology, decode_status
from drift_schemas.access import close_quietly
from drift_simulator import Simulator
from drift_subscribers import DriftFeed
from tests.support.programs import drift_only
from tests.support.publishing import keys_of, running_publisher
from tests.support.wait import wait_until

pytestmark = drift_only("streams and buckets do not depend on the program")

TOPOLOGY = Topology()
PATIENCE_S = 30.0


@dataclass
class Scene:
    """A publisher of resting markets, a feed, an operator, and what each bucket should hold."""

    publisher: Publisher
    feed: DriftFeed
    operator: Client
    values: dict[Kind, set[str]]
    beats: list[StatusEvent]

    async def api(self, action: str, **body: object) -> dict[str, object]:
        reply = await self.operator.request(f"$JS.API.{action}", json.dumps(body).encode() if body else b"", timeout=30)
        answer: dict[str, object] = json.loads(reply.data)
        assert "error" not in answer, answer
        return answer

    async def is_full(self) -> bool:
        """Every bucket has every value, and the publisher knows."""
        return self.is_ready and all([await keys_of(self.operator, kind) == self.values[kind] for kind in KINDS])

    @property
    def is_ready(self) -> bool:
        """Nothing is wrong but the age of oracles, which rest here."""
        readiness = self.publisher.health.readiness()
        faults = {fault.reason for found in readiness.markets.values() for fault in found}
        return not readiness.reasons and faults <= {"oracle stale"}

    def reasons(self) -> set[str]:
        return {fault.reason for fault in self.publisher.health.readiness().reasons}

    async def back(self) -> float:
        """Waits until all is well again; returns how long that took."""
        began = time.monotonic()
        await wait_until(self.is_full, PATIENCE_S, "every bucket is full, and the publisher ready")
        return time.monotonic() - began


@asynccontextmanager
async def scene(sim: Simulator, server: LocalNatsServer) -> AsyncIterator[Scene]:
    sim.pause_walk()
    perps, spots = ({market.name for market in some} for some in (sim.cluster.perp_markets, sim.cluster.spot_markets))
    values: dict[Kind, set[str]] = {"price": perps | spots, "funding": perps, "market": perps, "spot": spots}
    operator = await nats.connect(server.url)
    beats: list[StatusEvent] = []

    async def hear(message: object) -> None:
        beats.append(decode_status(message.data, message.headers))  # type: ignore[attr-defined]

    for subject in (TOPOLOGY.subjects.status, TOPOLOGY.subjects.standbys):
        await operator.subscribe(subject, cb=hear)
    try:
        async with running_publisher(sim, server) as publisher, DriftFeed(server.url) as feed:
            stage = Scene(publisher, feed, operator, values, beats)
            await stage.back()
            yield stage
    finally:
        await close_quietly(operator)


async def test_the_stream_is_deleted_then_purged_then_made_otherwise(
    sim: Simulator, nats_server: LocalNatsServer, caplog: pytest.LogCaptureFixture
) -> None:
    async with scene(sim, nats_server) as stage:
        await stream_deleted(stage, caplog)
        await stream_purged(stage)
        await stream_made_otherwise(stage)


async def stream_deleted(stage: Scene, caplog: pytest.LogCaptureFixture) -> None:
    """It is made anew at once, and the engine has all of it."""
    beats = len(stage.beats)
    await stage.api("STREAM.DELETE.DRIFT")
    await wait_until(lambda: not stage.is_ready, PATIENCE_S, "it is seen")
    await wait_until(lambda: "stream missing" in stage.reasons(), PATIENCE_S, "the reason is the true one")
    await stage.back()
    assert "another publisher leads" not in caplog.text
    assert "not there any more: DRIFT; making it anew" in caplog.text
    assert any("DRIFT had been deleted" in beat.bus_trouble for beat in stage.beats[beats:]), "the heartbeat says it"
    await wait_until(lambda: whole(stage), PATIENCE_S, "the engine has all of it, of the new stream")
    assert (stage.feed.statistics().recreations, stage.feed.statistics().gaps) == (1, 0)
    for kind in KINDS:
        config = (await stage.api(f"STREAM.INFO.{TOPOLOGY.bucket_stream(kind)}"))["config"]
        assert not config.get("subjects"), "nobody can write into a bucket"  # type: ignore[attr-defined]


def whole(stage: Scene) -> bool:
    """Every value is fresh in the feed, and of the newest epoch."""
    assert stage.publisher.leadership is not None
    epoch = stage.publisher.leadership.epoch
    found = [getattr(stage.feed, kind)(name) for kind in KINDS for name in stage.values[kind]]
    return all(event is not None and event.epoch == epoch for event in found)


async def stream_purged(stage: Scene) -> None:
    """Lease, epoch and history are gone while the server knows every message id: all is told again, as changes."""
    before = stage.publisher.leadership.epoch  # type: ignore[union-attr]
    await stage.api("STREAM.PURGE.DRIFT")
    await wait_until(lambda: stage.publisher.leadership.epoch > before, PATIENCE_S, "a new term")  # type: ignore[union-attr]
    await stage.back()
    every = {f"drift.{kind}.{name}" for kind, names in stage.values.items() for name in names}

    async def told() -> bool:
        found = await stage.api("STREAM.INFO.DRIFT", subjects_filter="drift.>")
        return every <= found["state"]["subjects"].keys()  # type: ignore[index]

    await wait_until(told, PATIENCE_S, "the history has every value again")
    await wait_until(lambda: whole(stage), PATIENCE_S, "the engine has all of it")


async def test_buckets_are_deleted_or_purged_or_lose_their_source(
    sim: Simulator, nats_server: LocalNatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One of them deleted and one purged; then all deleted. A bucket that is made anew shows nothing old: what nobody
    confirms would get a new time in it, and look fresh. A source that somebody took away comes back."""
    async with scene(sim, nats_server) as stage:
        await stage.operator.jetstream(timeout=30).publish("in.drift.price.GHOST-PERP", b"\x80")
        for actions in ({"price": "DELETE", "funding": "PURGE"}, dict.fromkeys(KINDS, "DELETE")):
            for kind, action in actions.items():
                await stage.api(f"STREAM.{action}.{TOPOLOGY.bucket_stream(kind)}")  # type: ignore[arg-type]
            await wait_until(lambda: "buckets empty" in stage.reasons(), PATIENCE_S, "it is seen and named")
            await stage.back()
        monkeypatch.setattr("drift_publisher.topology_watch._RECONCILE_AFTER", 1)
        await stage.api("STREAM.UPDATE.KV_drift_price", **{**TOPOLOGY.bucket_config("price"), "sources": []})
        await stage.api("STREAM.PURGE.KV_drift_price")
        await wait_until(lambda: "buckets empty" in stage.reasons(), PATIENCE_S, "it is seen and named")
        await stage.back()
        assert stage.publisher.leadership.epoch == 1, "who leads has nothing to do with it"  # type: ignore[union-attr]


async def stream_made_otherwise(stage: Scene) -> None:
    """Its setting is named, and it is left alone."""
    otherwise = json.dumps({**TOPOLOGY.stream_config(), "storage": "memory"}).encode()

    async def made_otherwise() -> bool:
        """Unless the publisher was quicker."""
        await stage.api("STREAM.DELETE.DRIFT")
        answer = await stage.operator.request("$JS.API.STREAM.CREATE.DRIFT", otherwise, timeout=30)
        return "error" not in json.loads(answer.data)

    await wait_until(made_otherwise, PATIENCE_S, "somebody makes it otherwise")
    await wait_until(lambda: conflict(stage), PATIENCE_S, "the setting is named")
    assert not stage.is_ready
    found = await stage.api("STREAM.INFO.DRIFT")
    assert found["config"]["storage"] == "memory"  # type: ignore[index]


def conflict(stage: Scene) -> bool:
    return any("storage" in fault.detail for fault in stage.publisher.health.readiness().reasons)
