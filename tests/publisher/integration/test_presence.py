"""Presence means fresh: a dead publisher or a stalled chain empties every bucket and every reader's view."""

from __future__ import annotations

import itertools
import signal
import time
from functools import partial

import pytest

from drift_bus.nats_server import LocalNatsServer
from drift_schemas import KINDS, bucket_ttl_s
from drift_simulator import Fault, Simulator
from drift_subscribers import DriftFeed
from tests.support.connecting import nats_client
from tests.support.programs import only
from tests.support.publishing import bus_reader, keys_of, publisher_process, running_publisher
from tests.support.wait import wait_until

program = only("drift-v2", why="how values run out does not depend on what is published")


@pytest.mark.timeout(150)
async def test_a_killed_publisher_leaves_no_old_value_behind(sim: Simulator, nats_server: LocalNatsServer) -> None:
    """kill -9: each bucket is empty after its TTL; with the publisher back, so is the data.

    The promise is TTL + 1 s; ten seconds of patience are for a loaded machine.
    """
    async with nats_client(nats_server.url) as client, DriftFeed(nats_server.url) as feed:
        async with publisher_process(sim, nats_server) as publisher:
            await wait_until(lambda: feed.funding("SOL-PERP") and feed.price("SOL-PERP"))
            before = feed.require_funding("SOL-PERP")
            for kind in KINDS:
                await wait_until(partial(keys_of, client, kind))
            publisher.send_signal(signal.SIGKILL)
            await publisher.wait()
            died = time.monotonic()
            sim.pause_walk()  # a minute in which nobody listens
        for kind in sorted(KINDS, key=bucket_ttl_s):
            left = died + bucket_ttl_s(kind) + 10 - time.monotonic()

            async def is_empty(kind: str = kind) -> bool:
                return not await keys_of(client, kind)  # type: ignore[arg-type]

            await wait_until(is_empty, left, f"bucket {kind} is empty after its TTL", every_s=0.2)
            if kind == "funding":
                assert feed.funding("SOL-PERP") is None
                assert feed.price("SOL-PERP") is None
        sim.resume_walk()
        async with publisher_process(sim, nats_server):
            await wait_until(lambda: feed.funding("SOL-PERP") and feed.price("SOL-PERP"))
            funding = feed.funding("SOL-PERP")
            assert funding is not None
            assert funding.epoch > before.epoch


async def test_sigterm_stops_cleanly(sim: Simulator, nats_server: LocalNatsServer) -> None:
    async with bus_reader(nats_server) as bus, publisher_process(sim, nats_server) as publisher:
        await wait_until(lambda: bus.last("price", "SOL-PERP"))
        publisher.terminate()
        _, stderr = await publisher.communicate()
        assert publisher.returncode == 0, stderr.decode()
        assert "Traceback" not in stderr.decode()


async def test_a_stalled_chain_is_told_within_seconds_and_nothing_is_confirmed(
    sim: Simulator, nats_server: LocalNatsServer
) -> None:
    async with bus_reader(nats_server) as bus, running_publisher(sim, nats_server):
        await wait_until(lambda: bus.status is not None and bus.status.source_state == "live")
        sim.faults.inject(Fault(kind="silent_stall"))
        sim.faults.inject(Fault(kind="http_5xx"))
        await wait_until(lambda: bus.status is not None and bus.status.source_state == "stalled")
        assert bus.status is not None
        assert "slot" in bus.status.reason
        confirmed = {key: len(events) for key, events in bus.reassertions.items()}
        beats = bus.beats
        await wait_until(lambda: bus.beats >= beats + 10, what="ten heartbeats of silence: three times a price was due")
        assert {key: len(events) for key, events in bus.reassertions.items()} == confirmed


async def test_a_quiet_market_is_confirmed_and_its_history_stays_short(
    sim: Simulator, nats_server: LocalNatsServer
) -> None:
    """An unchanged value is re-asserted every TTL/3, and leaves no trace in the history after its TTL."""
    async with bus_reader(nats_server) as bus, running_publisher(sim, nats_server):
        await wait_until(lambda: bus.status is not None and bus.status.source_state == "live")
        sim.pause_walk()
        await wait_until(lambda: len(bus.reassertions["price.SOL-PERP"]) >= 2)
        headers = bus.headers["price.SOL-PERP"][-1]
        assert headers["Nats-TTL"] == str(bucket_ttl_s("price"))
        events = bus.changes["price.SOL-PERP"] + bus.reassertions["price.SOL-PERP"]
        times_ns = sorted(event.published_at_ns for event in events)
        assert max(later - earlier for earlier, later in itertools.pairwise(times_ns)) < bucket_ttl_s("price") * 10**9
