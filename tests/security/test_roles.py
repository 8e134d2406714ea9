"""What each role can do on a server with the written configuration: everything that it needs."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from drift_bus.authority import Written
from drift_schemas import KINDS
from drift_simulator import Simulator
from drift_subscribers import DriftFeed, Lossless
from drift_subscribers.compat import DriftClientManager
from drift_subscribers.replay import Replay
from tests.cli.support import drift_bus
from tests.security.support import PATIENT, Guarded
from tests.subscribers.support import ManualClock, collect, lose
from tests.support.buckets import buckets_follow
from tests.support.bus_writer import funding_event, price_event, sample
from tests.support.publishing import running_publisher
from tests.support.wait import wait_until


async def test_publisher_and_engine_over_tls(sim: Simulator, guarded: Guarded) -> None:
    async with (
        running_publisher(sim, guarded.server, **guarded.settings("publisher")),
        DriftFeed(guarded.url, access=guarded.access("engine"), **PATIENT) as feed,
    ):
        await wait_until(lambda: feed.status() and feed.funding("SOL-PERP") and feed.price("SOL-PERP"))
        await wait_until(lambda: feed.market("SOL-PERP") and feed.spot("SOL"))
        assert feed.statistics().refused == {}


async def test_an_engine_joins_repairs_and_reads_the_past_across_accounts(
    guarded: Guarded, monkeypatch: pytest.MonkeyPatch, clock: ManualClock
) -> None:
    async with guarded.writer() as bus:
        first = await bus.change(price_event("SOL-PERP", 1))
        for number in (2, 3):
            await bus.change(price_event("SOL-PERP", number))
        missing = {first + 3, first + 4, first + 6}
        lose(monkeypatch, missing.__contains__)
        async with (
            DriftFeed(
                guarded.url, access=guarded.access("engine"), clock=clock, reconcile_every_s=0.1, **PATIENT
            ) as feed,
            feed.stream("price", "SOL-PERP", policy=Lossless(2), since=1) as stream,
        ):
            assert not feed._server_clock.alone  # it may ask the server for its time
            assert feed._server_clock.calibrated
            assert (price := feed.price("SOL-PERP")) and price.oracle_price == 3
            for number in range(4, 8):  # 4, 5 are missed, and shown by 6; 7 is missed, and shown by nothing
                await bus.change(price_event("SOL-PERP", number))
            await wait_until(lambda: (price := feed.price("SOL-PERP")) and price.oracle_price == 6)
            clock.advance(6)
            await wait_until(lambda: (price := feed.price("SOL-PERP")) and price.oracle_price == 7)
            assert [event.oracle_price for event in await collect(stream, 7)] == list(range(1, 8))
            assert feed.statistics().repaired >= 3


async def test_an_engine_comes_back_after_the_server_did(guarded: Guarded) -> None:
    async with (
        guarded.writer() as bus,
        DriftFeed(guarded.url, access=guarded.access("engine"), ping_interval_s=0.5, **PATIENT) as feed,
    ):
        await bus.change(price_event("SOL-PERP", 1))
        await wait_until(lambda: feed.price("SOL-PERP"))
        await guarded.server.kill()
        await guarded.server.start()
        await wait_until(lambda: bus.client.is_connected)
        await bus.change(price_event("SOL-PERP", 2))
        await wait_until(lambda: (price := feed.price("SOL-PERP")) and price.oracle_price == 2)


async def test_engines_commands(guarded: Guarded) -> None:
    async with guarded.writer() as bus:
        for kind in KINDS:
            await bus.change(sample(kind, "SOL" if kind == "spot" else "SOL-PERP"))
        await buckets_follow(bus.client, bus.topology)
        engine = guarded.environment("engine")
        snapshot = await drift_bus("snapshot", "--json", **engine)
        assert {entry["bucket"] for entry in snapshot.objects} == {f"drift_{kind}" for kind in KINDS}, snapshot.stderr
        streams = await drift_bus("streams", "--json", **engine)
        assert len(streams.objects) == len(bus.topology.configs()), streams.stderr
        watching = await drift_bus("watch", "status", "--seconds", "0.1", **engine)
        assert watching.status == 0, watching.stderr


async def test_replays_commands(guarded: Guarded, tmp_path: Path) -> None:
    replay = guarded.environment("replay")
    async with guarded.writer() as bus:
        for number in range(1, 4):
            await bus.change(price_event("SOL-PERP", number))
        told = await drift_bus("replay", "--json", **replay)
        assert [event["oracle_price"] for event in told.objects] == [1, 2, 3], told.stderr
        exported = await drift_bus("export", str(tmp_path / "history"), **replay)
        assert exported.status == 0, exported.stderr
        before = await guarded.streams()
        onto = await drift_bus("replay", "--onto", "lab", "--speed", "max", **replay)
        assert onto.status == 0, onto.stderr
        assert await guarded.streams() == before
        of_replay = await drift_bus("streams", "--prefix", "replay.lab", "--json", **replay)
        assert "REPLAY_LAB" in {stream["stream"] for stream in of_replay.objects}, of_replay.stderr
    async with guarded.login("replay") as login:
        names = (await login.ask("$JS.API.STREAM.NAMES"))["streams"]  # of its own account
        assert "REPLAY_LAB" in names
        assert "DRIFT" not in names


async def test_old_code_and_replays_in_code_log_in_too(guarded: Guarded, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in guarded.environment("engine").items():
        monkeypatch.setenv(name, value)
    async with guarded.writer() as bus:
        await bus.change(funding_event("SOL-PERP", 1))
        manager = DriftClientManager()
        client = await manager.get_client()
        assert client is not None
        await manager.release_client()
        async with Replay(guarded.url, access=guarded.access("replay"), connect_timeout_s=60) as replay:
            assert [event.market async for event in replay] == ["SOL-PERP"]


async def test_operator_and_system(guarded: Guarded) -> None:
    async with guarded.writer() as bus, guarded.login("operator") as operator, guarded.login("system") as system:
        sequence = await bus.change(price_event("SOL-PERP", 1))
        done = await operator.ask("$JS.API.STREAM.MSG.DELETE.DRIFT", {"seq": sequence})
        assert done["success"]
        told = await system.client.request("$SYS.REQ.SERVER.PING.JSZ", json.dumps({"accounts": True}).encode(), 60)
        assert json.loads(told.data)["data"]["streams"] == len(bus.topology.configs())


async def test_env_files_serve_the_command(written: Written, guarded: Guarded, tmp_path: Path) -> None:
    settings = tmp_path / "engine.env"
    settings.write_text("".join(f"{name}={value}\n" for name, value in guarded.environment("engine").items()))
    async with guarded.writer() as bus:
        await bus.change(price_event("SOL-PERP", 1))
        await buckets_follow(bus.client, bus.topology)
        told = await drift_bus("--env-file", str(settings), "snapshot", "price", "--json")
        assert [event["oracle_price"] for event in told.objects] == [1], told.stderr


async def test_a_server_that_wants_no_tls_from_the_first_byte_serves_as_well(guarded: Guarded) -> None:
    access = replace(guarded.access("engine"), tls_first=False)
    async with guarded.writer(), DriftFeed(guarded.url, access=access, **PATIENT) as feed:
        assert feed.connected


@pytest.fixture
def clock() -> ManualClock:
    """A monotonic clock that can be moved ahead."""
    return ManualClock()
