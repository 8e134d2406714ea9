"""When a term ends and when it does not: a leader that was only slow goes on, one whose fence moved begins anew."""

from __future__ import annotations

import asyncio
import time

import pytest
from nats.aio.client import Client

from drift_bus.nats_server import LocalNatsServer
from drift_publisher.epoch import Term, claim_epoch
from drift_publisher.publisher import Publisher
from drift_schemas import Topology
from drift_simulator import Simulator
from tests.support.connecting import nats_client
from tests.support.programs import drift_only
from tests.support.publishing import BusReader, bus_reader, running_publisher
from tests.support.wait import wait_until

PRICE = "price.SOL-PERP"

pytestmark = drift_only("who leads does not depend on the program")


def epoch_of(publisher: Publisher) -> int:
    assert publisher.leadership is not None
    return publisher.leadership.epoch


def newest(bus: BusReader) -> int:
    return max((event.epoch for event in bus.changes[PRICE]), default=0)


async def test_a_leader_on_a_busy_machine_stays_the_leader(
    sim: Simulator, nats_server: LocalNatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing of it runs for longer than its lease, and nobody else is there: the epoch is the same afterwards."""
    async with running_publisher(sim, nats_server, lease_ttl_s=1) as publisher, bus_reader(nats_server) as bus:
        await wait_until(lambda: bus.changes[PRICE], 30, "prices")
        assert publisher.leadership is not None
        monkeypatch.setattr(publisher.leadership._lease, "_ttl_s", 30)  # the test's machine may be slow to answer
        publisher.leadership._lease._valid_until = time.monotonic() + 0.5
        time.sleep(1.5)
        told = len(bus.changes[PRICE])
        await wait_until(lambda: len(bus.changes[PRICE]) > told + 5, 30, "prices go on")
        assert epoch_of(publisher) == newest(bus) == 1


async def test_a_claim_that_takes_longer_than_the_lease_does_not_lose_it(
    sim: Simulator, nats_server: LocalNatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a machine whose cores are all taken: that cost a second term, and up to six seconds of a failover."""

    async def slowly(nats: Client, topology: Topology, *, above: int) -> Term:
        term = await claim_epoch(nats, topology, above=above)
        await asyncio.sleep(1.2)
        return term

    monkeypatch.setattr("drift_publisher.leadership.claim_epoch", slowly)
    async with running_publisher(sim, nats_server, lease_ttl_s=1), bus_reader(nats_server) as bus:
        await wait_until(lambda: bus.changes[PRICE], 45, "prices")
        assert newest(bus) == 1


async def test_a_leader_whose_epoch_another_moved_begins_a_new_term(
    sim: Simulator, nats_server: LocalNatsServer
) -> None:
    """As a publisher does that was frozen in the middle of its own claim: it holds no lease, and the stream refuses
    what the holder of the lease says."""
    async with running_publisher(sim, nats_server) as publisher, bus_reader(nats_server) as bus:
        await wait_until(lambda: bus.changes[PRICE], 30, "prices")
        async with nats_client(nats_server.url) as client:
            frozen = await claim_epoch(client, Topology())
        await wait_until(lambda: newest(bus) > frozen.epoch, 30, "prices of a later epoch")
        assert epoch_of(publisher) == newest(bus) == frozen.epoch + 1
