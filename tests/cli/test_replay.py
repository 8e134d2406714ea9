"""``drift-bus replay`` and ``drift-bus snapshot --at``: history on stdout, and onto a bus of its own."""

from __future__ import annotations

import asyncio
import json
import signal

import pytest

from drift_bus.nats_server import LocalNatsServer
from drift_schemas import Topology
from drift_subscribers.history import format_moment
from tests.cli.support import drift_bus, drift_bus_anew, started
from tests.subscribers.replay.support import settled_bucket, stored, stored_at
from tests.support.bus_writer import BusWriter, funding_event, price_event
from tests.support.wait import wait_until

X = Topology("replay.x")
COUNT = 8


@pytest.fixture
async def times(nats_server: LocalNatsServer) -> list[int]:
    """Eight prices in the stream; when each was stored."""
    async with BusWriter(nats_server.url) as bus:
        await bus.change(funding_event("SOL-PERP"))
        return [
            await stored_at(bus.client, bus.topology, await bus.change(price_event("SOL-PERP", 100 + number)))
            for number in range(COUNT)
        ]


async def test_json_lines_have_the_form_of_watch(nats_server: LocalNatsServer, times: list[int]) -> None:
    done = await drift_bus("replay", "--json", "--nats-url", nats_server.url)

    assert done.status == 0, done.stderr
    assert [one["subject"] for one in done.objects] == ["drift.funding.SOL-PERP"] + ["drift.price.SOL-PERP"] * COUNT
    assert [one["oracle_price"] for one in done.objects[1:]] == [100 + number for number in range(COUNT)]
    assert [one["stored_at_ns"] for one in done.objects[1:]] == times
    assert [one["sequence"] for one in done.objects] == list(range(1, COUNT + 2))
    assert all(one["replay"] is True and one["cluster"] == "simulated" for one in done.objects)


async def test_the_same_bytes_at_any_speed(nats_server: LocalNatsServer, times: list[int]) -> None:
    runs = [
        await drift_bus("replay", "--json", "--speed", speed, "--nats-url", nats_server.url)
        for speed in ("1", "10", "max")
    ]

    assert len({done.stdout for done in runs}) == 1
    assert len(runs[0].objects) == COUNT + 1


async def test_a_part_of_it(nats_server: LocalNatsServer, times: list[int]) -> None:
    done = await drift_bus(
        "replay", "--json", "--kind", "price", "--market", "SOL-PERP", "--from", format_moment(times[2]),
        "--to", str(times[6]), "--count", "3", "--nats-url", nats_server.url,
    )  # fmt: skip

    assert [one["oracle_price"] for one in done.objects] == [102, 103, 104]


async def test_lines_for_people(nats_server: LocalNatsServer, times: list[int]) -> None:
    done = await drift_bus_anew("replay", "--kind", "price", "--nats-url", nats_server.url)

    assert done.status == 0
    assert done.stdout.count("SIMULATED") == COUNT


@pytest.mark.parametrize(
    ("arguments", "says", "status"),
    [
        (["--from", "-1h"], "begins at", 1),
        (["--from", "now"], "nothing in the stream", 1),
        (["--market", "NOPE-PERP"], "NOPE-PERP", 1),
        (["--prefix", "other"], "no stream OTHER", 1),
        (["--from", "-1h", "--to", "-2h"], "not after its beginning", 2),
        (["--from", "noon"], "no time", 2),
        (["--kind", "oracle"], "unknown kind", 2),
        (["--speed", "0"], "above 0", 2),
        (["--speed", "fast"], "above 0", 2),
        (["--onto", "A.B"], "a-z", 2),
        (["--replace"], "--onto", 2),
    ],
)
async def test_what_is_wrong_is_said_in_one_line(
    nats_server: LocalNatsServer, times: list[int], arguments: list[str], says: str, status: int
) -> None:
    done = await drift_bus("replay", *arguments, "--nats-url", nats_server.url)

    assert says in done.complaint
    assert (done.status, done.stdout) == (status, "")


async def test_onto_a_bus_and_its_snapshot(nats_server: LocalNatsServer, times: list[int]) -> None:
    onto = ("replay", "--onto", "x", "--nats-url", nats_server.url)
    done = await drift_bus(*onto, "--speed", "max", "--json")
    again = await drift_bus(*onto)
    replaced = await drift_bus(*onto, "--speed", "max", "--replace", "--kind", "price")

    assert done.status == 0, done.stderr
    assert done.objects[0]["changes"] == COUNT + 1
    assert done.objects[0]["complete"] is True
    assert again.status == 1
    assert "--replace" in again.stderr
    assert f"{COUNT} changes on replay.x.>" in replaced.stdout
    async with BusWriter(nats_server.url, make=False) as bus:
        last = [one for one in await stored(bus.client, X) if one.kind == "price"][-1]
        await settled_bucket(bus.client, X, "price", {"SOL-PERP": last.payload})
    snapshot = await drift_bus("snapshot", "price", "--json", "--prefix", "replay.x", "--nats-url", nats_server.url)
    assert [one["oracle_price"] for one in snapshot.objects] == [100 + COUNT - 1]
    assert snapshot.objects[0]["age_s"] == 0


async def test_ctrl_c_leaves_a_clear_state(nats_server: LocalNatsServer) -> None:
    async with BusWriter(nats_server.url) as bus:
        for number in range(30):
            await bus.change(price_event("SOL-PERP", number))
            await asyncio.sleep(0.01)

        async def state() -> str:
            answer = await bus.client.request("$JS.API.STREAM.INFO.REPLAY_X", b"", timeout=30)
            return str(json.loads(answer.data).get("config", {}).get("metadata", {}).get("drift-replay-state"))

        arguments = ("replay", "--onto", "x", "--speed", "0.001", "--nats-url", nats_server.url)
        async with started(*arguments) as process:

            async def is_running() -> bool:
                return await state() == "running"

            await wait_until(is_running)
            process.send_signal(signal.SIGINT)
            stdout, _ = await process.communicate()

        assert process.returncode == 130
        assert stdout.startswith(b"interrupted at 20")
        assert (await state()).startswith("interrupted at 20")


async def test_a_snapshot_of_then(nats_server: LocalNatsServer, times: list[int]) -> None:
    at = str(times[3] + 1)

    done = await drift_bus("snapshot", "price", "--at", at, "--json", "--nats-url", nats_server.url)
    table = await drift_bus("snapshot", "--at", at, "--nats-url", nats_server.url)

    assert [one["oracle_price"] for one in done.objects] == [103]
    assert done.objects[0]["as_of_ns"] == times[3] + 1
    assert done.objects[0]["sequence"] == 5
    assert "revision" not in done.objects[0]
    assert "Sequence" in table.stdout
    assert "SOL-PERP" in table.stdout


@pytest.mark.parametrize(
    ("at", "says", "status"),
    [("-1h", "begins at", 1), ("2100-01-01", "still to come", 2), ("noon", "no time", 2)],
)
async def test_a_moment_that_cannot_be_shown(
    nats_server: LocalNatsServer, times: list[int], at: str, says: str, status: int
) -> None:
    done = await drift_bus("snapshot", "--at", at, "--nats-url", nats_server.url)

    assert says in done.complaint
    assert done.status == status
