"""One holder at a time, whatever happens to the holder, to the server, or to the network."""

from __future__ import annotations

import asyncio
import itertools
import signal
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager, suppress

import pytest
from nats.aio.client import Client

from drift_bus.nats_server import LocalNatsServer
from drift_publisher.errors import PrefixTaken
from drift_publisher.lease import Lease, LeaseLost
from drift_publisher.stream_setup import ensure_topology
from drift_schemas import Topology
from tests.support.connecting import nats_client
from tests.support.wait import wait_until

TOPOLOGY = Topology()
SHORT_S = 1
"""For a lease that is to run out."""
LONG_S = 60
"""For a lease that is to be there whatever else the machine does; no test waits for its end.

What lies between is renewed every quarter of its time, or lies in the stream for so long after its holder resigned.
"""


@pytest.fixture
async def server(nats_server: LocalNatsServer) -> LocalNatsServer:
    async with connected(nats_server) as client:
        await ensure_topology(client, TOPOLOGY)
    return nats_server


@asynccontextmanager
async def connected(server: LocalNatsServer) -> AsyncIterator[Client]:
    async with nats_client(server.url, max_reconnect_attempts=-1, reconnect_time_wait=0.1) as client:
        yield client


@asynccontextmanager
async def leases(
    server: LocalNatsServer,
    *names: str,
    ttls_s: Iterable[int],
    publishes: Iterable[str] = itertools.repeat("drift-v2 of simulated"),
) -> AsyncIterator[list[Lease]]:
    """One lease each, on connections of their own."""
    async with AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(connected(server)) for _ in names]
        yield [
            Lease(client, TOPOLOGY, name, publishes=data, ttl_s=ttl_s)
            for client, name, data, ttl_s in zip(clients, names, publishes, ttls_s, strict=False)
        ]


@asynccontextmanager
async def kept(lease: Lease) -> AsyncIterator[asyncio.Task[None]]:
    task = asyncio.create_task(lease.keep(), name="lease under test")
    try:
        yield task
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError, LeaseLost):
            await task


async def hears_the_holder(lease: Lease) -> None:
    """Waits until one who waits for the lease has heard a renewal of it."""
    began = time.monotonic()
    await wait_until(lambda: lease._heard_at > began, what="it hears that the lease is held")


async def test_of_many_who_ask_at_once_one_gets_it(server: LocalNatsServer) -> None:
    async with leases(server, *(f"publisher-{n}" for n in range(8)), ttls_s=itertools.repeat(3)) as contenders:
        asking = {asyncio.create_task(lease.acquire()): lease for lease in contenders}
        done, waiting = await asyncio.wait(asking, return_when=asyncio.FIRST_COMPLETED)
        assert [lease.is_held for lease in contenders].count(True) == len(done) == 1
        async with kept(asking[done.pop()]):
            _, still = await asyncio.wait(waiting, timeout=4.5)
            assert still == waiting, "nobody gets it while it is renewed"
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)


async def test_who_publishes_other_data_does_not_stand_by_for_it(server: LocalNatsServer) -> None:
    both = ("drift-v2 of simulated", "velocity-v1 of simulated")
    async with leases(server, "first", "second", publishes=both, ttls_s=(4, LONG_S)) as (first, second):
        await first.acquire()
        async with kept(first):
            with pytest.raises(PrefixTaken, match=r"'drift' is led by a publisher of drift-v2 of simulated.*--prefix"):
                async with asyncio.timeout(60):
                    await second.acquire()
        await first.resign()
        await second.acquire()
        assert second.is_held, "a prefix that nobody leads is free for other data"


async def test_it_passes_on_when_its_holder_is_gone(server: LocalNatsServer) -> None:
    async with leases(server, "first", "second", ttls_s=(SHORT_S, LONG_S)) as (first, second):
        await first.acquire()
        await second.acquire()
        assert second.is_held
        assert not first.is_held, "the holder's own clock ended it before the server did"


async def test_it_passes_on_at_once_when_its_holder_resigns(server: LocalNatsServer) -> None:
    async with leases(server, "first", "second", ttls_s=(4, LONG_S)) as (first, second):
        await first.acquire()
        async with kept(first):
            waiting = asyncio.create_task(second.acquire())
            await hears_the_holder(second)
        await first.resign()
        await waiting
        assert second.is_held
        assert not first.is_held


async def test_who_comes_after_a_resignation_leads_at_once(server: LocalNatsServer) -> None:
    """As a publisher does that is restarted: it did not hear its forerunner resign, and finds the lease there."""
    async with leases(server, "before", "after", "last", ttls_s=[LONG_S] * 3) as (before, after, last):
        await before.acquire()
        await before.resign()
        async with asyncio.timeout(LONG_S / 2):
            await after.acquire()
        assert await last._given_up() == 0, "held again"


async def test_a_resignation_overtakes_a_renewal_whose_answer_got_lost(server: LocalNatsServer) -> None:
    async with leases(server, "first", "second", ttls_s=(4, LONG_S)) as (first, second):
        await first.acquire()
        await first._put(first._sequence)  # stored, and first does not know of it
        sequence = first._sequence
        await first.resign()
        assert first._sequence > sequence
        await second.acquire()
        assert second.is_held


async def test_a_holder_that_was_overtaken_is_told(server: LocalNatsServer) -> None:
    async with leases(server, "first", "second", ttls_s=(SHORT_S, LONG_S)) as (first, second):
        await first.acquire()
        await second.acquire()
        async with kept(second):
            with pytest.raises(LeaseLost):
                await first.keep()
            assert second.is_held


async def test_a_holder_that_cannot_reach_nats_stops_by_its_own_clock(server: LocalNatsServer) -> None:
    async with leases(server, "first", ttls_s=(SHORT_S,)) as [first]:
        await first.acquire()
        server.signal(signal.SIGSTOP)
        try:
            with pytest.raises(LeaseLost, match="did not confirm"):
                await first.keep()
            assert not first.is_held
        finally:
            server.signal(signal.SIGCONT)


async def test_a_renewal_whose_answer_got_lost_is_found_again(server: LocalNatsServer) -> None:
    async with leases(server, "first", ttls_s=(4,)) as [first]:
        await first.acquire()
        await first._put(first._sequence)  # stored, and first does not know of it
        async with kept(first) as keeping:
            held_until = first._valid_until
            await wait_until(lambda: keeping.done() or first._valid_until > held_until)
            assert not keeping.done()
            assert first.is_held


@pytest.mark.parametrize("gone", [False, True], ids=["still there", "expired"])
async def test_a_holder_that_was_too_slow_goes_on_where_nobody_took_the_lease(
    server: LocalNatsServer, gone: bool
) -> None:
    """Its own clock ended it; whether the server dropped it as well or not, one compare-and-set brings it back."""
    async with leases(server, "first", ttls_s=[SHORT_S]) as [first]:
        await first.acquire()
        since_ns = first.since_ns
        if gone:
            await wait_until(lambda: lease_is_gone(server), 45, "the server drops it")
        first._ttl_s = LONG_S  # what it asks for from now on
        first._valid_until = time.monotonic() - 1
        assert not first.is_held
        await first._renew()  # what keep() does four times while a lease lasts
        assert first.is_held
        assert first.since_ns == since_ns, "the same holder, the same time"


async def test_a_holder_that_was_too_slow_does_not_take_it_from_another(server: LocalNatsServer) -> None:
    async with leases(server, "first", "second", ttls_s=(SHORT_S, LONG_S)) as (first, second):
        await first.acquire()
        await second.acquire()
        first._valid_until = time.monotonic() - 1
        async with kept(second):
            with pytest.raises(LeaseLost, match="another publisher leads"):
                await first.keep()
            assert second.is_held


async def test_who_resigned_may_lead_again_at_once(server: LocalNatsServer) -> None:
    """As after a term that the stream's fence ended: no other publisher is there to take it."""
    async with leases(server, "first", ttls_s=[LONG_S]) as [first]:
        await first.acquire()
        await first.resign()
        assert not first.is_held
        assert await first._take()
        assert first.is_held


async def lease_is_gone(server: LocalNatsServer) -> bool:
    async with connected(server) as client:
        found = await client.request(TOPOLOGY.api.direct_get(TOPOLOGY.stream, TOPOLOGY.subjects.lease))
        return not found.data


async def test_a_waiting_publisher_can_be_stopped(server: LocalNatsServer) -> None:
    async with leases(server, "first", "second", ttls_s=(2, LONG_S)) as (first, second):
        await first.acquire()
        async with kept(first):
            waiting = asyncio.create_task(second.acquire())
            await hears_the_holder(second)
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
