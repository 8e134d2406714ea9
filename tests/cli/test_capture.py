"""``drift-bus capture``, ``capture info``, ``simulate --capture``: files that are whole, or say that they are not."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from drift_bus.nats_server import LocalNatsServer
from drift_publisher.capture import open_capture
from drift_schemas.capture import CapturedAccount
from drift_simulator.programs import program_named
from tests.cli.support import drift_bus, drift_bus_anew, started
from tests.support.captures import steps_of_a_cluster, write_capture
from tests.support.wait import wait_until


@asynccontextmanager
async def node(*arguments: str) -> AsyncIterator[str]:
    """The HTTP URL of a running ``drift-bus simulate``."""
    async with started("simulate", "--port", "0", "--json", *arguments) as process:
        assert process.stdout is not None
        yield json.loads(await process.stdout.readline())["http_url"]


@pytest.fixture
async def chain() -> AsyncIterator[str]:
    """The HTTP URL of a small simulated chain, of Drift: how a file ends has nothing to do with what is in it."""
    async with node("--perp-markets", "3") as url:
        yield url


@pytest.fixture
async def either_chain(program: str) -> AsyncIterator[str]:
    """The same of each program, for tests of what is in it."""
    async with node("--perp-markets", "3", "--program", program) as url:
        yield url


async def test_it_captures_for_some_seconds_and_tells_what(either_chain: str, program: str, tmp_path: Path) -> None:
    done = await drift_bus(
        *("capture", "-o", "a.capture.zst", "--seconds", "4", "--json"), cwd=tmp_path, DRIFT_BUS_RPC_URL=either_chain
    )
    assert done.status == 0, done.stderr
    [told] = done.objects
    assert told["accounts"] > 0
    assert told["bytes"] == (tmp_path / "a.capture.zst").stat().st_size
    assert [path.name for path in tmp_path.iterdir()] == ["a.capture.zst"]
    assert f"markets of {program} on simulated from http://127.0.0.1" in done.stderr
    assert "Ctrl-C ends it" in done.stderr

    [found] = (await drift_bus("capture", "info", "a.capture.zst", "--json", cwd=tmp_path)).objects
    assert found["cut_short"] is None
    assert (found["accounts"], found["slots"]) == (told["accounts"], told["slots"])
    assert (found["program"], found["cluster"]) == (program, "simulated")
    assert found["by_kind"].keys() == {"PerpMarket", "SpotMarket", "State", "oracle or other"}
    text = (await drift_bus("capture", "info", "a.capture.zst", cwd=tmp_path)).stdout
    assert f"{program} of simulated" in text
    assert "PerpMarket" in text


async def test_ctrl_c_ends_it_with_a_whole_file(chain: str, tmp_path: Path) -> None:
    done = await drift_bus_anew(
        *("capture", "-o", "a-%Y.zst", "--rpc-url", chain), cwd=tmp_path, interrupt_after_line="Ctrl-C ends it"
    )
    assert done.status == 0, done.stderr
    [path] = tmp_path.iterdir()
    assert path.name.startswith("a-20")
    assert path.suffix == ".zst"
    reader = open_capture(path)
    assert [record for record in reader.records() if isinstance(record, CapturedAccount)]
    assert reader.cut_short is None


async def test_a_killed_capture_leaves_a_part_that_can_be_read(chain: str, tmp_path: Path) -> None:
    part = tmp_path / "a.zst.part"
    async with started("capture", "-o", "a.zst", "--rpc-url", chain, cwd=tmp_path) as process:
        await wait_until(lambda: part.exists() and part.stat().st_size > 20_000)
        process.kill()
        await process.wait()
    assert not (tmp_path / "a.zst").exists()
    info = await drift_bus("capture", "info", part.name, cwd=tmp_path)
    assert info.status == 0
    assert "cut short" in info.stdout

    refused = await drift_bus("capture", "-o", "a.zst", "--rpc-url", chain, cwd=tmp_path)
    assert refused.status == 1
    assert "a.zst.part is left over from a capture that did not end" in refused.complaint
    again = await drift_bus(*("capture", "-o", "a.zst", "--rpc-url", chain, "--force", "--seconds", "3"), cwd=tmp_path)
    assert again.status == 0, again.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["a.zst"]


async def test_it_ends_before_the_file_is_too_large(chain: str, tmp_path: Path) -> None:
    done = await drift_bus("capture", "-o", "a.zst", "--rpc-url", chain, "--max-bytes", "60k", cwd=tmp_path)
    assert done.status == 0, done.stderr
    assert "--max-bytes" in done.stdout
    assert 10_000 < (tmp_path / "a.zst").stat().st_size <= 60_000
    assert open_capture(tmp_path / "a.zst").cut_short is None


async def test_what_is_there_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "a.zst").write_bytes(b"precious")
    done = await drift_bus("capture", "-o", "a.zst", "--rpc-url", "http://127.0.0.1:1", cwd=tmp_path)
    assert done.status == 1
    assert "a.zst is there already" in done.complaint
    assert "--force" in done.complaint
    assert (tmp_path / "a.zst").read_bytes() == b"precious"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("capture",), "-o FILE"),
        (("capture", "-o", "a.zst"), "no RPC URL"),
        (("capture", "-o", "no/such/folder/a.zst", "--rpc-url", "http://127.0.0.1:1"), "no/such/folder/a.zst.part"),
        (("capture", "-o", "a.zst", "--max-bytes", "many"), "many"),
        (("capture", "info", "absent.zst"), "absent.zst"),
        (("simulate", "--capture", "absent.zst"), "absent.zst"),
        (("simulate", "--capture", "a.zst", "--seed", "3"), "--seed"),
        (("simulate", "--loop"), "--capture"),
        (("simulate", "--capture", "a.zst", "--loop", "--exit-at-end"), "--exit-at-end"),
        (("simulate", "--capture", "a.zst", "--speed", "fast"), "--speed"),
    ],
)
async def test_what_is_wrong_is_one_clear_line(tmp_path: Path, arguments: tuple[str, ...], says: str) -> None:
    done = await drift_bus(*arguments, cwd=tmp_path)
    assert done.status != 0
    assert says in done.complaint
    assert list(tmp_path.iterdir()) == []


async def test_a_node_that_is_not_there_leaves_no_file(tmp_path: Path) -> None:
    done = await drift_bus(
        *("capture", "-o", "a.zst"), cwd=tmp_path, DRIFT_BUS_RPC_URL="http://127.0.0.1:1", interrupt_after_line="…"
    )
    assert done.status == 1
    assert "nothing was captured" in done.stderr
    assert list(tmp_path.iterdir()) == []


async def test_damage_is_named(tmp_path: Path) -> None:
    path = write_capture(tmp_path / "a.zst", steps_of_a_cluster(20), per_frame=10)
    raw = bytearray(path.read_bytes())
    raw[-150] ^= 1
    path.write_bytes(raw)
    done = await drift_bus("capture", "info", "a.zst", cwd=tmp_path)
    assert done.status == 1
    assert "a.zst: damaged at frame" in done.complaint
    (tmp_path / "b.zst").write_bytes(b"something else entirely")
    done = await drift_bus("simulate", "--capture", "b.zst", cwd=tmp_path)
    assert "b.zst: this is no capture" in done.complaint


async def test_a_capture_is_served_to_its_end_and_the_node_ends(program: str, tmp_path: Path) -> None:
    """capture → simulate --capture → capture: the notifications are the same."""
    address = str(program_named(program).program_id)
    steps = steps_of_a_cluster(40, program=program)
    first = write_capture(tmp_path / "a.zst", steps, program=program, program_id=address)
    async with started(
        *("simulate", "--capture", "a.zst", "--port", "0", "--json", "--speed", "2", "--exit-at-end"), cwd=tmp_path
    ) as simulator:
        assert simulator.stdout is not None
        about = json.loads(await simulator.stdout.readline())
        assert (about["cluster"], about["captured_cluster"]) == ("simulated", "mainnet-beta")
        assert about["program"] == program
        arguments = ("capture", "-o", "b.zst", "--rpc-url", about["http_url"], "--program", program)
        async with started(*arguments, cwd=tmp_path) as capture, asyncio.timeout(120):
            assert await simulator.wait() == 0
            events = [json.loads(line) for line in (await simulator.stdout.read()).splitlines()]
            capture.send_signal(signal.SIGINT)
            assert await capture.wait() == 0
    assert [event["event"] for event in events if event["event"] != "at"] == ["begins", "ended"]
    original, again = ([*open_capture(path).records()] for path in (first, tmp_path / "b.zst"))
    known = {record.address for record in again if isinstance(record, CapturedAccount)}
    told = [
        [
            (record.address, record.slot, record.data)
            for record in records
            if isinstance(record, CapturedAccount) and not record.was_read and record.address in known
        ]
        for records in (original, again)
    ]
    assert told[1] == told[0]


async def test_publish_captures_beside_its_work(
    either_chain: str, program: str, nats_server: LocalNatsServer, tmp_path: Path
) -> None:
    arguments = ("publish", "--rpc-url", either_chain, "--nats-url", nats_server.url, "--capture", "p.zst")
    async with started(*arguments, cwd=tmp_path) as publisher, asyncio.timeout(120):
        await wait_until((tmp_path / "p.zst.part").exists)
        seen = await drift_bus("watch", "price", "--json", "--count", "5", "--nats-url", nats_server.url)
        await wait_until(lambda: (tmp_path / "p.zst.part").stat().st_size > 20_000)
        publisher.send_signal(signal.SIGINT)
        assert await publisher.wait() == 0
    assert {(one["program"], one["cluster"]) for one in seen.objects} == {(program, "simulated")}
    reader = open_capture(tmp_path / "p.zst")
    records = list(reader.records())
    assert reader.cut_short is None
    assert {record.was_read for record in records if isinstance(record, CapturedAccount)} == {True, False}
    assert not (tmp_path / "p.zst.part").exists()


async def test_publish_refuses_a_file_that_is_there(chain: str, nats_server: LocalNatsServer, tmp_path: Path) -> None:
    (tmp_path / "p.zst").write_bytes(b"precious")
    done = await drift_bus(
        *("publish", "--rpc-url", chain, "--nats-url", nats_server.url), cwd=tmp_path, DRIFT_BUS_CAPTURE="p.zst"
    )
    assert done.status == 1
    assert "p.zst is there already" in done.stderr.splitlines()[-1]
