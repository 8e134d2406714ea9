"""Which program is followed: found or named, refused by name where it is another one, and two on one server."""

from __future__ import annotations

import asyncio
import logging
import sys

import pytest
from nats.aio.client import Client

from drift_bus.nats_server import LocalNatsServer
from drift_publisher import SettingsError
from drift_publisher.profiles import PROFILES
from drift_schemas import KINDS, Topology
from drift_simulator import Cluster, Simulator, SimulatorConfig
from drift_subscribers import DriftFeed
from tests.support.connecting import nats_client
from tests.support.publishing import bus_reader, chain_of, keys_of, running_publisher
from tests.support.wait import wait_until

FILLS_PAUSED = 8


@pytest.fixture
def other(program: str) -> str:
    """A program that the node does not serve."""
    return next(name for name in PROFILES if name != program)


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    """What an operator sees."""
    caplog.set_level(logging.INFO, logger="drift_publisher")
    return caplog


def serve_also(sim: Simulator, program: str) -> Cluster:
    """The node also has the accounts of another program's cluster; they stand still."""
    cluster = Cluster(SimulatorConfig(program=program, perp_markets=2, spot_markets=2))
    for address, account in cluster.ledger.items():
        sim.set_account(address, bytes(account.data), account.owner)
    return cluster


def pause(sim: Simulator, cluster: Cluster) -> None:
    """Nobody can trade on this program any more."""
    address = cluster.program.state_address
    data = sim.account(address)
    assert data is not None
    state = cluster.program.idl.account("State").record(data)
    state["exchange_status"] = FILLS_PAUSED
    sim.set_account(address, bytes(state))


async def test_auto_takes_the_only_program_that_is_there_and_says_so(
    sim: Simulator, nats_server: LocalNatsServer, program: str, log: pytest.LogCaptureFixture
) -> None:
    async with running_publisher(sim, nats_server, program="auto") as publisher:
        assert chain_of(publisher).profile is PROFILES[program]
    assert f"program {program} at {sim.http_url}: the only one that has markets there" in log.messages


async def test_auto_takes_a_paused_program_where_there_is_no_other(
    sim: Simulator, nats_server: LocalNatsServer, program: str
) -> None:
    pause(sim, sim.cluster)
    async with running_publisher(sim, nats_server, program="auto") as publisher:
        assert chain_of(publisher).profile is PROFILES[program]


async def test_of_two_programs_auto_leaves_the_paused_one_and_says_so(
    sim: Simulator, nats_server: LocalNatsServer, program: str, other: str, log: pytest.LogCaptureFixture
) -> None:
    pause(sim, serve_also(sim, other))
    async with bus_reader(nats_server) as bus, running_publisher(sim, nats_server, program="auto") as publisher:
        assert chain_of(publisher).profile is PROFILES[program]
        await wait_until(lambda: bus.markets("market") == {market.name for market in sim.cluster.perp_markets})
        assert {event.program for events in bus.changes.values() for event in events} == {program}
    assert f"program {program} at {sim.http_url}: it also has {other} (paused)" in log.messages


async def test_of_two_live_programs_auto_takes_neither_and_each_can_be_named(
    sim: Simulator, nats_server: LocalNatsServer, program: str, other: str
) -> None:
    serve_also(sim, other)
    with pytest.raises(SettingsError, match=r"has markets of drift-v2 and velocity-v1: say which with program .*--pro"):
        async with running_publisher(sim, nats_server, program="auto"):
            pass
    async with running_publisher(sim, nats_server, program=program) as publisher:
        assert chain_of(publisher).profile is PROFILES[program]
        assert len(chain_of(publisher).store.perp_markets) == len(sim.cluster.perp_markets)


async def test_the_wrong_program_is_refused_with_the_right_one_and_the_remedy(
    sim: Simulator, nats_server: LocalNatsServer, program: str, other: str
) -> None:
    with pytest.raises(SettingsError) as refused:
        async with running_publisher(sim, nats_server, program=other):
            pass
    assert f"{sim.http_url} has markets of {program}, none of {other}" in str(refused.value)
    assert f"set program (DRIFT_BUS_PROGRAM, --program) to {program} or auto" in str(refused.value)
    assert sim.counters.sockets_total == 0


async def test_an_account_that_becomes_the_other_programs_is_refused_by_that_programs_name(
    sim: Simulator, nats_server: LocalNatsServer, program: str, other: str, log: pytest.LogCaptureFixture
) -> None:
    market = sim.cluster.perp_markets[0]
    theirs = Cluster(SimulatorConfig(program=other, perp_markets=1, spot_markets=1))
    async with bus_reader(nats_server) as bus, running_publisher(sim, nats_server) as publisher:
        chain = chain_of(publisher)
        await wait_until(lambda: bus.last("market", market.name))
        sim.set_account(market.pubkey, bytes(theirs.perp_markets[0].record), theirs.program.program_id)

        async def is_refused() -> bool:
            await chain.client.account_subscriber.fetch()
            return chain.store.is_doubtful(str(market.pubkey))

        await wait_until(is_refused, every_s=0.2)
        assert chain.store.perp_markets[market.index].name == market.name, "the good version stays"
    assert f"account {market.pubkey} ({program}): refused, owner: owned by {other}, not by {program}" in log.messages


async def epoch_of(client: Client, prefix: str) -> int:
    """The epoch that stands in a prefix's stream."""
    topology = Topology(prefix)
    found = await client.jetstream(timeout=30).get_last_msg(topology.stream, topology.subjects.epoch, direct=True)
    return int(found.data or 0)


async def test_two_publishers_of_two_programs_share_a_server_and_nothing_else(nats_server: LocalNatsServer) -> None:
    """Engines read each under its prefix; subjects, buckets and epochs of one say nothing of the other."""
    drift = Simulator(SimulatorConfig(program="drift-v2", updates_per_second=200, perp_markets=3, spot_markets=2))
    velocity = Simulator(SimulatorConfig(program="velocity-v1", updates_per_second=200, perp_markets=4, spot_markets=3))
    async with nats_client(nats_server.url) as client:
        async with (
            drift,
            velocity,
            bus_reader(nats_server, "drift") as drift_bus,
            bus_reader(nats_server, "velocity") as velocity_bus,
            running_publisher(drift, nats_server) as of_drift,
            DriftFeed(nats_server.url) as drift_feed,
            DriftFeed(nats_server.url, prefix="velocity") as velocity_feed,
        ):
            epoch = 0
            for _ in range(2):  # the second publisher of Velocity begins another epoch, of Velocity alone
                async with running_publisher(velocity, nats_server, subject_prefix="velocity") as of_velocity:
                    await wait_until(lambda: velocity_bus.status and velocity_bus.status.epoch > epoch)  # noqa: B023
                    for feed in (drift_feed, velocity_feed):
                        await wait_until(lambda: feed.price("SOL-PERP") and feed.funding("SOL-PERP"))  # noqa: B023
                    for sim, prefix in ((drift, "drift"), (velocity, "velocity")):
                        names = {market.name for market in sim.cluster.markets}

                        async def is_whole(prefix: str = prefix, names: set[str] = names) -> bool:
                            return await keys_of(client, "price", Topology(prefix)) == names

                        await wait_until(is_whole, what=f"bucket of prices of {prefix}")
                    for publisher, prefix in ((of_drift, "drift"), (of_velocity, "velocity")):
                        assert publisher.leadership is not None
                        assert await epoch_of(client, prefix) == publisher.leadership.epoch, "nobody else moved it"
                    assert of_velocity.leadership is not None
                    epoch = of_velocity.leadership.epoch
        for bus, sim in ((drift_bus, drift), (velocity_bus, velocity)):
            events = [event for told in (bus.changes, bus.reassertions) for some in told.values() for event in some]
            assert {event.program for event in events} == {sim.cluster.program.name}
            assert {event.market for event in events} == {market.name for market in sim.cluster.markets}
            assert {event.kind for event in events} == set(KINDS)


_PUBLISH = """
import asyncio, sys
from drift_publisher import Publisher, PublisherSettings

async def main(rpc_url, ws_url, nats_url):
    publisher = Publisher(PublisherSettings(_env_file=None, rpc_url=rpc_url, ws_url=ws_url, nats_url=nats_url))
    stop = asyncio.Event()
    running = asyncio.create_task(publisher.run(stop))
    while not running.done() and (publisher.bus is None or publisher.bus.counts["stored"] < 50):
        await asyncio.sleep(0.05)
    stop.set()
    await running

asyncio.run(main(*sys.argv[1:]))
print(*sorted({name.partition(".")[0] for name in sys.modules} & {"driftpy", "anchorpy"}))
"""


async def test_only_a_publisher_of_drift_loads_driftpy(
    sim: Simulator, nats_server: LocalNatsServer, program: str
) -> None:
    """It is where the memory goes, and Velocity has no use for it."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", _PUBLISH, sim.http_url, sim.ws_url, nats_server.url),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(90):
        said, errors = await process.communicate()
    assert process.returncode == 0, errors.decode()
    assert said.decode().split() == (["anchorpy", "driftpy"] if program == "drift-v2" else [])
