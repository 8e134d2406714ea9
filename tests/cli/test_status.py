"""``drift-bus status``: who leads, who stands by, and what is wrong, on a real bus."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import time
from collections.abc import AsyncIterator
from typing import Any

from drift_bus.nats_server import LocalNatsServer
from drift_bus.status import Lead, Standing
from drift_publisher.epoch import claim_epoch
from drift_publisher.lease import Lease
from drift_schemas import SCHEMA_HEADER, StatusEvent, encode
from tests.cli.support import Bus, drift_bus, drift_bus_anew, started, status


def leader(**changes: Any) -> StatusEvent:
    return status(**{"publisher_id": "first", "role": "leader", "leading_since_ns": time.time_ns(), **changes})


def standby(**changes: Any) -> StatusEvent:
    return status(**{"publisher_id": "second", "role": "standby", **changes})


@contextlib.asynccontextmanager
async def led(bus: Bus, *beats: StatusEvent) -> AsyncIterator[None]:
    """``first`` holds the lease, the epoch is 1, and all beat."""
    lease, over = Lease(bus.client, bus.topology, "first", publishes="drift-v2 of simulated", ttl_s=60), asyncio.Event()
    await lease.acquire()
    await claim_epoch(bus.client, bus.topology)

    async def beat() -> None:
        while not over.is_set():
            for one in beats:
                if one.role == "leader":
                    await bus.publish_status(one)
                else:
                    subject = bus.topology.subjects.standby(one.publisher_id)
                    await bus.client.publish(subject, encode(one), headers={SCHEMA_HEADER: "status/1"})
            await asyncio.sleep(0.2)

    task = asyncio.create_task(beat(), name="heartbeats")
    try:
        yield
    finally:
        over.set()
        await task
        await lease.resign()


async def test_it_shows_who_leads_and_who_stands_by(nats_server: LocalNatsServer) -> None:
    beats = leader(host="alpha", rpc_endpoint="https://rpc.example"), standby(host="beta")
    async with Bus.on(nats_server.url) as bus, led(bus, *beats):
        done = await drift_bus("status", "--json", "--nats-url", nats_server.url)
        table = await drift_bus("status", "--nats-url", nats_server.url)

    (said,) = done.objects
    assert (done.status, table.status) == (0, 0)
    assert said["lease"]["publisher_id"] == said["leader"]["publisher_id"] == "first"
    assert said["epoch"] == 1
    assert (said["leader"]["host"], said["leader"]["source_state"]) == ("alpha", "live")
    assert [one["publisher_id"] for one in said["standbys"]] == ["second"]
    assert said["complaints"] == []
    for text in ("leads", "first", "alpha", "stands by", "second", "beta", "https://rpc.example", "350,000,123"):
        assert text in table.stdout


async def test_where_nobody_leads_the_status_is_1(nats_server: LocalNatsServer) -> None:
    async with Bus.on(nats_server.url) as bus:
        empty = await drift_bus_anew("status", "--nats-url", nats_server.url)
        async with led(bus):
            pass
        resigned = await drift_bus("status", "--json", "--nats-url", nats_server.url)

    assert (empty.status, resigned.status) == (1, 1)
    assert "nobody leads: no publisher is there; start a publisher with 'drift-bus publish'" in empty.complaint
    assert resigned.objects[0]["lease"] is None


async def test_a_server_without_a_stream_is_told(nats_server: LocalNatsServer) -> None:
    done = await drift_bus("status", "--nats-url", nats_server.url)
    assert done.status == 1
    assert "the stream DRIFT does not answer: has a publisher run here" in done.complaint


async def test_watching_goes_on_until_it_is_stopped(nats_server: LocalNatsServer) -> None:
    async with (
        Bus.on(nats_server.url) as bus,
        led(bus, leader()),
        started("status", "--watch", "--json", "--nats-url", nats_server.url) as process,
        asyncio.timeout(90),
    ):
        assert process.stdout is not None
        looks = [json.loads(await process.stdout.readline()) for _ in range(2)]
        process.send_signal(signal.SIGINT)
        assert await process.wait() == 130
    assert [look["lease"]["publisher_id"] for look in looks] == ["first", "first"]


def complaints(*beats: StatusEvent, lease: str | None = "first") -> list[str]:
    return list(Standing(Lead(lease, time.time_ns()) if lease else None, 1, beats).complaints())


def test_a_name_that_several_live_markets_have_is_told() -> None:
    [told] = complaints(leader(refused_names=("SOL-PERP",)))
    assert told == "first refuses SOL-PERP: several live markets have that name, each goes by its index"


def test_all_well_is_no_complaint() -> None:
    assert complaints(leader(), standby()) == []
    assert complaints(leader(), standby(source_state="stalled", reason="a cold standby opens no socket")) == []


def test_what_is_wrong_is_named() -> None:
    assert complaints(standby(), lease=None) == ["nobody leads: the lease is free"]
    assert complaints(standby()) == ["first holds the lease, but no heartbeat of it was heard"]
    assert complaints(leader(), leader(publisher_id="second")) == ["2 publishers say that they lead: first, second"]
    assert complaints(leader(), standby(source_state="stalled", reason="no new slot for 6 s")) == [
        "standby second does not hear the chain: no new slot for 6 s"
    ]
    assert complaints(leader(source_state="stalled", reason="no socket")) == [
        "the leader first does not hear the chain: no socket"
    ]
    assert complaints(leader(), standby(markets=("SOL-PERP", "SOL", "JTO-PERP"))) == [
        "second also has JTO-PERP and lacks BTC-PERP, unlike first: give all the same --markets"
    ]


async def test_a_deleted_stream_is_named(nats_server: LocalNatsServer) -> None:
    """Nobody leads because there is nothing to lead: no standby is to be blamed."""
    async with Bus.on(nats_server.url) as bus, led(bus, standby(bus_trouble="DRIFT had been deleted")):
        await bus.client.request(f"$JS.API.STREAM.DELETE.{bus.topology.stream}")
        done = await drift_bus("status", "--json", "--nats-url", nats_server.url)
    (said,) = done.objects
    assert done.status == 1
    assert said["complaints"][0].startswith(
        "nobody leads: the stream DRIFT does not answer: a deleted one is made anew"
    )
    assert said["complaints"][1] == "DRIFT had been deleted"
