"""NATS goes away: nothing acknowledged is lost, nothing is stored twice, nothing stale is sent late."""

from __future__ import annotations

import asyncio
import json
import shutil
import time
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg

from drift_bus.nats_server import LocalNatsServer
from drift_publisher import NatsUnavailable, PublisherSettings, TopologyConflict
from drift_publisher.asking import ask
from drift_publisher.bus import Bus
from drift_publisher.publisher import Publisher
from drift_publisher.stream_setup import ensure_topology
from drift_schemas import KINDS, MSG_ID_HEADER, Topology, bucket_ttl_s
from drift_simulator import Simulator
from drift_subscribers import DriftFeed
from tests.deployment.ledger import stored_changes
from tests.support.connecting import nats_client
from tests.support.programs import only
from tests.support.publishing import bus_reader, running_publisher
from tests.support.wait import wait_until

program = only("velocity-v1", why="how events travel does not depend on what they say")


def _has_more(seen: list[str], than: int) -> bool:
    return len(seen) > than


async def test_acknowledged_events_survive_a_killed_server(
    sim: Simulator, nats_server: LocalNatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    acknowledged: list[str] = []
    original = Bus._stored

    def stored(bus: Bus, lane: Any, message: Any, ack: Any, sent_at: float) -> None:
        acknowledged.append(message.headers[MSG_ID_HEADER])
        original(bus, lane, message, ack, sent_at)

    monkeypatch.setattr(Bus, "_stored", stored)
    async with running_publisher(sim, nats_server), DriftFeed(nats_server.url) as feed:
        for _ in range(3):
            wanted = len(acknowledged) + 100
            await wait_until(partial(_has_more, acknowledged, wanted), what="events are acknowledged")
            await nats_server.kill()
            await nats_server.start()
        wanted = len(acknowledged) + 100
        await wait_until(partial(_has_more, acknowledged, wanted), what="events are acknowledged again")
        await wait_until(lambda: feed.price("SOL-PERP") is not None, what="the engine sees prices again")
        sim.pause_walk()
    ids = list((await stored_changes(nats_server.url, Topology())).values())
    changes = [message_id for message_id in acknowledged if ".r" not in message_id]
    assert not set(changes) - set(ids)
    assert len(ids) == len(set(ids))


async def test_a_server_that_comes_back_empty_gets_everything_anew(sim: Simulator, tmp_path: Path) -> None:
    async with LocalNatsServer(store_dir=tmp_path / "store") as server, running_publisher(sim, server):
        async with bus_reader(server) as bus:
            before = await wait_until(lambda: bus.last("price", "SOL-PERP"))
        await server.kill()
        shutil.rmtree(tmp_path / "store")
        await server.start()
        async with bus_reader(server) as bus:
            await wait_until(lambda: getattr(bus.last("price", "SOL-PERP"), "epoch", 0) > before.epoch)


async def test_what_waited_out_an_outage_is_dropped_and_counted_not_sent_late(
    sim: Simulator, nats_server: LocalNatsServer
) -> None:
    """Twelve seconds without a server: prices that are older than their TTL by then never arrive."""
    async with running_publisher(sim, nats_server) as publisher, bus_reader(nats_server) as bus:
        assert publisher.bus is not None
        counts = publisher.bus.counts
        await wait_until(lambda: bus.last("price", "SOL-PERP"))
        await nats_server.kill()
        over = sim.cluster.slot + (bucket_ttl_s("price") + 2) / sim.config.slot_interval_s
        await wait_until(lambda: sim.cluster.slot > over, what="the chain goes on for longer than a price is good")
        back_ns = time.time_ns()
        await nats_server.start()
        await wait_until(
            lambda: any(e.published_at_ns > back_ns for e in bus.changes["price.SOL-PERP"]), what="it goes on"
        )
        assert counts["superseded"] + counts["stale"] > 100
        assert bus.oldest_arrival_s["price"] < bucket_ttl_s("price")


async def test_setting_up_twice_changes_nothing(nats_server: LocalNatsServer) -> None:
    async with nats_client(nats_server.url) as client:
        assert await ensure_topology(client, Topology())
        first = [await client.jetstream(timeout=30).stream_info(Topology().bucket_stream(kind)) for kind in KINDS]
        assert not await ensure_topology(client, Topology())
        again = [await client.jetstream(timeout=30).stream_info(Topology().bucket_stream(kind)) for kind in KINDS]
        assert [info.config for info in first] == [info.config for info in again]


async def test_publishers_that_make_the_same_bucket_anew_do_not_quarrel(nats_server: LocalNatsServer) -> None:
    """Each would let it begin now, and their nows differ."""
    topology = Topology()
    async with nats_client(nats_server.url) as client:
        await ensure_topology(client, topology)
        await client.jetstream(timeout=30).publish("in.drift.price.SOL-PERP", b"\x80")
        for kind in KINDS:
            await client.request(topology.api.subject(f"STREAM.DELETE.{topology.bucket_stream(kind)}"), timeout=30)
        await asyncio.gather(*(ensure_topology(client, topology) for _ in range(8)))
        for kind in KINDS:
            await client.jetstream(timeout=30).stream_info(topology.bucket_stream(kind))


async def test_what_nobody_answers_is_asked_again(
    nats_server: LocalNatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first answer of every kind gets lost, after the server has done what it was asked."""
    lost: set[str] = set()

    async def losing(nats: Client, subject: str, payload: bytes, *, timeout_s: float) -> Msg:
        answer = await ask(nats, subject, payload, timeout_s=30)
        if subject not in lost:
            lost.add(subject)
            raise TimeoutError
        return answer

    monkeypatch.setattr("drift_publisher.stream_api.ask", losing)
    async with nats_client(nats_server.url) as client:
        assert await ensure_topology(client, Topology())
        await ensure_topology(client, Topology(max_age_s=3600))
        assert {subject.split(".")[3] for subject in lost} == {"INFO", "CREATE", "UPDATE"}
        assert (await client.jetstream(timeout=30).stream_info("DRIFT")).config.max_age == 3600
        lost.clear()
        with pytest.raises(NatsUnavailable, match=r"does not answer \$JS.API.STREAM.INFO"):
            await ensure_topology(client, Topology(), patience_s=0)


async def test_what_can_be_changed_in_place_is(nats_server: LocalNatsServer) -> None:
    async with nats_client(nats_server.url) as client:
        await ensure_topology(client, Topology())
        await ensure_topology(client, Topology(max_age_s=3600))
        info = await client.jetstream(timeout=30).stream_info("DRIFT")
        assert info.config.max_age == 3600


async def test_what_cannot_be_changed_is_named_and_left_alone(nats_server: LocalNatsServer) -> None:
    async with nats_client(nats_server.url) as client:
        config = {**Topology().stream_config(), "storage": "memory"}
        await client.request("$JS.API.STREAM.CREATE.DRIFT", json.dumps(config).encode(), timeout=30)
        with pytest.raises(TopologyConflict, match=r"DRIFT.*storage"):
            await ensure_topology(client, Topology())
        assert (await client.jetstream(timeout=30).stream_info("DRIFT")).config.storage == "memory"


async def test_no_server_is_one_clear_line(sim: Simulator) -> None:
    settings = PublisherSettings(
        _env_file=None, rpc_url=sim.http_url, nats_url="nats://user:CANARY@127.0.0.1:9", start_timeout_s=1
    )
    with pytest.raises(NatsUnavailable, match=r"nats://127.0.0.1:9 .*start one") as caught:
        await Publisher(settings).run(asyncio.Event())
    assert "CANARY" not in str(caught.value)
