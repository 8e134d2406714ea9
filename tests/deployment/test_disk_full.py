"""The disk under JetStream is full: what was acknowledged stays, values run out, and it goes on when there is room."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from drift_bus.nats_server import LocalNatsServer
from drift_schemas import Topology
from drift_simulator import Simulator, SimulatorConfig
from drift_subscribers import DriftFeed
from tests.deployment.ledger import Acknowledged, repeated, stored_changes
from tests.support.publishing import running_publisher
from tests.support.wait import wait_until

TOPOLOGY = Topology()
MARKET = "SOL-PERP"
ENOUGH = 100
TOLD = ("no stream listens", "did not confirm the lease")
NO_LIMIT = {"stream_max_bytes": -1, "funding_max_bytes": -1}

# nats-py leaves the socket of a reconnection that failed half-way to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")


@pytest.fixture
async def sim() -> AsyncIterator[Simulator]:
    """A chain with a few markets that change quickly."""
    config = SimulatorConfig(port=0, seed=7, updates_per_second=100.0, perp_markets=8, spot_markets=4)
    async with Simulator(config) as simulator:
        yield simulator


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of its own with 48 MiB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=48m", "drift-bus-test", str(disk)],
        check=False,
        capture_output=True,
        text=True,
    )
    if mounted.returncode:
        pytest.skip(f"no disk of its own can be mounted here: {mounted.stderr.strip()}")
    yield disk
    subprocess.run(["umount", "--lazy", str(disk)], check=True)


def _fill(disk: Path) -> Path:
    """Takes what room there is, as another program's log would; returns the file to delete."""
    filler = disk / "filler"
    with contextlib.suppress(OSError), filler.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(65536))
    assert os.statvfs(disk).f_bavail == 0
    return filler


@pytest.mark.slow
async def test_a_full_disk_takes_the_values_away_and_nothing_that_was_acknowledged(
    sim: Simulator, small_disk: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """nats-server gives JetStream up on a full disk; room alone does not bring it back, room and a restart do."""
    acknowledged = Acknowledged(monkeypatch)
    config = "jetstream { max_file_store: 10GB }"
    async with LocalNatsServer(store_dir=small_disk, extra_config=config) as server:
        async with (
            running_publisher(sim, server, **NO_LIMIT) as publisher,
            DriftFeed(server.url) as feed,
        ):
            await wait_until(lambda: len(acknowledged) > ENOUGH and feed.price(MARKET), what="events flow")
            filler = _fill(small_disk)
            await wait_until(lambda: feed.price(MARKET) is None, what="the price runs out")
            await wait_until(
                lambda: any(text in caplog.text for text in TOLD), what="the publisher says what is missing"
            )
            before = len(acknowledged)
            filler.unlink()
            await server.stop()
            await server.start()
            await wait_until(lambda: len(acknowledged) > before + ENOUGH, what="events are acknowledged again")
            await wait_until(lambda: feed.price(MARKET), what="the price is back")
            sim.pause_walk()
            await wait_until(lambda: publisher.bus and not publisher.bus.outstanding, what="all is acknowledged")
        stored = list((await stored_changes(server.url, TOPOLOGY)).values())
    assert not set(acknowledged) - set(stored)
    assert not repeated(stored)


async def test_jetstreams_own_limit_is_named_and_room_is_enough_to_go_on(
    sim: Simulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A server that may store 1 MB in all refuses with a reason, and takes events again once it may store more."""
    acknowledged = Acknowledged(monkeypatch)
    store = tmp_path / "store"
    async with (
        LocalNatsServer(store_dir=store, extra_config="jetstream { max_file_store: 1MB }") as small,
        running_publisher(sim, small, **NO_LIMIT, lease_ttl_s=2),  # it has no room to say that it resigns
    ):
        await wait_until(lambda: "insufficient resources" in caplog.text, what="the refusal is told")
    async with LocalNatsServer(store_dir=store) as server:
        before = len(acknowledged)
        async with running_publisher(sim, server, **NO_LIMIT) as publisher:
            await wait_until(lambda: len(acknowledged) > before + ENOUGH, what="events are acknowledged again")
            sim.pause_walk()
            await wait_until(lambda: publisher.bus and not publisher.bus.outstanding, what="all is acknowledged")
        stored = list((await stored_changes(server.url, TOPOLOGY)).values())
    assert not set(acknowledged) - set(stored)
    assert not repeated(stored)
