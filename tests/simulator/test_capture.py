"""A node that serves a capture: recorded accounts at recorded slots in recorded order, and simulated for all to see."""

from __future__ import annotations

import asyncio
import base64
from itertools import pairwise
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import pytest
from driftpy.account_subscription_config import AccountSubscriptionConfig
from driftpy.drift_client import DriftClient
from solana.rpc.async_api import AsyncClient

from drift_schemas.capture import CapturedAccount, CaptureDamaged, CapturedSlot, CaptureRecord
from drift_simulator import DEMO_AUTHORITY, CaptureReplay, Cluster, PortInUse, Simulator
from drift_simulator.addresses import DRIFT_PROGRAM, GENESIS_HASH
from drift_simulator.layout import drift_idl
from tests.support.captures import HEADER, START_NS, steps_of_a_cluster, write_capture
from tests.support.wait import wait_until

from .conftest import Channel

FAST = float("inf")
BASE64 = {"encoding": "base64"}


async def _result(session: aiohttp.ClientSession, node: CaptureReplay, method: str, *params: Any) -> Any:
    call = {"jsonrpc": "2.0", "id": 1, "method": method, "params": list(params)}
    async with session.post(node.http_url, json=call) as response:
        answer = orjson.loads(await response.read())
    assert "error" not in answer, answer
    return answer["result"]


async def _channel(session: aiohttp.ClientSession, node: CaptureReplay) -> Channel:
    return Channel(await session.ws_connect(node.ws_url))


def _account(record: CaptureRecord) -> CapturedAccount:
    assert isinstance(record, CapturedAccount)
    return record


def _told(message: dict[str, Any], address: str) -> CaptureRecord:
    """A notification's params as the record that it was made of, but for the time."""
    result = message["result"]
    if "parent" in result:
        return CapturedSlot(result["slot"], 0)
    value = result["value"]
    account = value.get("account", value)
    data = base64.b64decode(account["data"][0]) if account["lamports"] else None
    slot = result["context"]["slot"]
    return CapturedAccount(value.get("pubkey", address), account["owner"], slot, data, 0, False)


def _timeless(record: CaptureRecord) -> CaptureRecord:
    return record._replace(received_ns=0)


async def test_it_begins_in_the_state_that_was_read_first(tmp_path: Path, session: aiohttp.ClientSession) -> None:
    records = steps_of_a_cluster(8)
    held = {_account(one).address: _account(one) for one in records if getattr(one, "was_read", False)}
    async with CaptureReplay(write_capture(tmp_path / "a", records), waits_for_client=False) as node:
        answer = await _result(session, node, "getMultipleAccounts", list(held), BASE64)
        for record, value in zip(held.values(), answer["value"], strict=True):
            assert (base64.b64decode(value["data"][0]), value["owner"]) == (record.data, record.owner)
        assert answer["context"]["slot"] == records[0].slot
        assert await _result(session, node, "getSlot") == records[0].slot
        assert await _result(session, node, "getHealth") == "ok"
        listing = await _result(session, node, "getProgramAccounts", str(DRIFT_PROGRAM), BASE64)
        of_program = {address for address, record in held.items() if record.owner == str(DRIFT_PROGRAM)}
        assert {entry["pubkey"] for entry in listing} == of_program
        async with session.get(f"{node.http_url}/markets") as response:
            markets = orjson.loads(await response.read())
        assert [(one["market_type"], one["name"]) for one in markets][:2] == [
            ("perp", "SOL-PERP"),
            ("perp", "BTC-PERP"),
        ]
        assert len(markets) == 5


async def test_it_is_simulated_whatever_was_captured(tmp_path: Path, session: aiohttp.ClientSession) -> None:
    path = write_capture(tmp_path / "a", steps_of_a_cluster(1))
    async with CaptureReplay(path) as node:
        assert node.header.cluster == "mainnet-beta"
        assert await _result(session, node, "getGenesisHash") == GENESIS_HASH != HEADER.genesis


@pytest.mark.parametrize("speed", [20.0, FAST])
async def test_it_tells_what_was_recorded_in_its_order(
    tmp_path: Path, session: aiohttp.ClientSession, speed: float
) -> None:
    """Accounts and slots come over one socket as they came then."""
    records = steps_of_a_cluster(60)
    expected = [_timeless(one) for one in records if not getattr(one, "was_read", False)]
    addresses = {_account(one).address for one in expected if isinstance(one, CapturedAccount)}
    async with CaptureReplay(write_capture(tmp_path / "a", records), speed=speed, waits_for_client=False) as node:
        channel = await _channel(session, node)
        await channel.subscribe("slot")
        numbers = {await channel.subscribe("account", address, BASE64): address for address in addresses}
        node.play()
        heard = []
        for _ in expected:
            message = await channel.notification()
            heard.append(_told(message, numbers.get(message["subscription"], "")))
        await wait_until(lambda: node.has_ended)
        assert heard == expected
        for address in addresses:
            last = [one for one in expected if isinstance(one, CapturedAccount) and one.address == address][-1]
            answer = await _result(session, node, "getAccountInfo", address, BASE64)
            assert base64.b64decode(answer["value"]["data"][0]) == last.data
        assert node.cut_short is None


async def test_time_starts_with_the_first_client(tmp_path: Path, session: aiohttp.ClientSession) -> None:
    records = steps_of_a_cluster(40)
    slots = [one.slot for one in records if isinstance(one, CapturedSlot)]
    async with CaptureReplay(write_capture(tmp_path / "a", records), speed=FAST) as node:
        assert not node.is_playing
        channel = await _channel(session, node)
        await channel.subscribe("slot")
        assert [(await channel.notification())["result"]["slot"] for _ in slots] == slots
        await wait_until(lambda: node.has_ended)


async def test_a_program_subscription_hears_the_markets(tmp_path: Path, session: aiohttp.ClientSession) -> None:
    records = steps_of_a_cluster(40)
    discriminator = drift_idl().account("PerpMarket").discriminator
    expected = [
        _timeless(one)
        for one in records
        if isinstance(one, CapturedAccount) and not one.was_read and (one.data or b"")[:8] == discriminator
    ]
    async with CaptureReplay(write_capture(tmp_path / "a", records), waits_for_client=False) as node:
        channel = await _channel(session, node)
        memcmp = {"offset": 0, "bytes": base64.b64encode(discriminator).decode(), "encoding": "base64"}
        await channel.subscribe("program", str(DRIFT_PROGRAM), {**BASE64, "filters": [{"memcmp": memcmp}]})
        assert node.step(10_000) == len([one for one in records if not getattr(one, "was_read", False)])
        assert [_told(await channel.notification(), "") for _ in expected] == expected
    assert expected


async def test_it_steps_and_pauses(tmp_path: Path) -> None:
    records = steps_of_a_cluster(20)
    async with CaptureReplay(write_capture(tmp_path / "a", records), speed=FAST, waits_for_client=False) as node:
        begun = node.played
        assert node.step(3) == 3
        await asyncio.sleep(0)
        assert node.played == begun + 3
        assert not node.is_playing
        node.play()
        await wait_until(lambda: node.has_ended)
        assert node.played == len(records)
        assert node.step() == 0


async def test_a_closed_account_is_told_and_gone(tmp_path: Path, session: aiohttp.ClientSession) -> None:
    [first, *rest] = steps_of_a_cluster(0)
    address, slot = _account(first).address, first.slot
    closed = CapturedAccount(address, "11111111111111111111111111111111", slot + 1, None, START_NS, False)
    path = write_capture(tmp_path / "a", [first, *rest, closed])
    async with CaptureReplay(path, waits_for_client=False) as node:
        channel = await _channel(session, node)
        await channel.subscribe("account", address, BASE64)
        node.step()
        assert _told(await channel.notification(), address) == _timeless(closed)
        assert (await _result(session, node, "getAccountInfo", address, BASE64))["value"] is None


async def test_a_read_is_told_where_it_brings_news(tmp_path: Path, session: aiohttp.ClientSession) -> None:
    """What the original learnt by reading after a gap, whoever listens now has to be told."""
    records = steps_of_a_cluster(0)
    first = _account(records[0])
    slot = CapturedSlot(first.slot + 1, START_NS)
    same = first._replace(slot=first.slot + 2)
    news = same._replace(slot=first.slot + 3, data=b"something else")
    path = write_capture(tmp_path / "a", [*records, slot, same, news])
    async with CaptureReplay(path, waits_for_client=False) as node:
        channel = await _channel(session, node)
        await channel.subscribe("account", first.address, BASE64)
        node.step(3)
        heard = _told(await channel.notification(), first.address)
        assert heard == _timeless(news._replace(was_read=False))
        assert await _result(session, node, "getSlot") == news.slot


async def test_accounts_may_be_older_than_the_slots_told(tmp_path: Path, session: aiohttp.ClientSession) -> None:
    """Slots are told as they are processed, accounts as they are confirmed: a read must not overtake the latter."""
    records = steps_of_a_cluster(0)
    first = _account(records[0])
    ahead = CapturedSlot(first.slot + 5, START_NS)
    late = first._replace(slot=first.slot + 3, was_read=False)
    far = CapturedSlot(first.slot + 500, START_NS)
    path = write_capture(tmp_path / "a", [*records, ahead, late, far])
    async with CaptureReplay(path, waits_for_client=False) as node:
        channel = await _channel(session, node)
        await channel.subscribe("slot")
        await channel.subscribe("account", first.address, BASE64)
        seen = []
        for _ in range(3):
            node.step()
            seen.append(await _result(session, node, "getSlot"))
        assert seen[0] == first.slot
        assert seen[1] == late.slot
        assert late.slot < seen[2] < far.slot
        slots = [_told(await channel.notification(), first.address).slot for _ in range(3)]
        assert slots == [ahead.slot, late.slot, far.slot]


async def test_a_loop_goes_on_with_later_slots(tmp_path: Path, session: aiohttp.ClientSession) -> None:
    records = steps_of_a_cluster(8)
    slots = [one.slot for one in records if isinstance(one, CapturedSlot)]
    path = write_capture(tmp_path / "a", records)
    async with CaptureReplay(path, speed=50, loop=True, waits_for_client=False) as node:
        channel = await _channel(session, node)
        await channel.subscribe("slot")
        node.play()
        heard = [(await channel.notification())["result"]["slot"] for _ in range(3 * len(slots))]
        assert heard[: len(slots)] == slots
        assert all(before < after for before, after in pairwise(heard))
        assert not node.has_ended


async def test_a_stock_client_takes_it_for_a_node(tmp_path: Path) -> None:
    records = steps_of_a_cluster(60)
    last = {one.address: one.data for one in records if isinstance(one, CapturedAccount)}
    path = write_capture(tmp_path / "a", records)
    async with CaptureReplay(path, speed=FAST, waits_for_client=False) as node:
        before = asyncio.all_tasks()
        async with AsyncClient(node.http_url) as connection:
            config = AccountSubscriptionConfig("websocket")
            client = DriftClient(connection, DEMO_AUTHORITY, account_subscription=config, sub_account_ids=[])
            await client.subscribe()
            try:
                await wait_until(lambda: node.counters.subscriptions_open["programSubscribe"] == 2)
                await wait_until(lambda: node.counters.subscriptions_open["accountSubscribe"] >= 2)
                node.play()
                market = client.get_perp_market_account(0)
                assert market is not None
                wanted = drift_idl().account("PerpMarket").record(last[str(market.pubkey)])

                def has_the_last() -> bool:
                    held = client.get_perp_market_account(0)
                    return held is not None and held.amm.last_update_slot == wanted["amm.last_update_slot"]

                await wait_until(has_the_last)
                oracle = client.get_oracle_price_data_for_perp_market(0)
                assert oracle is not None
                assert oracle.price > 0
            finally:
                await client.unsubscribe()
                started = asyncio.all_tasks() - before
                ours = {task for task in started if task.get_name().startswith(("simulator", "capture"))}
                stock = [task for task in started - ours if "driftpy" in _file_of(task)]
                for task in stock:
                    task.cancel()
                await asyncio.gather(*stock, return_exceptions=True)


def _file_of(task: asyncio.Task[object]) -> str:
    code = getattr(task.get_coro(), "cr_code", None)
    return code.co_filename if code is not None else ""


async def test_damage_while_playing_ends_the_node_with_the_place(tmp_path: Path) -> None:
    path = write_capture(tmp_path / "a", steps_of_a_cluster(60), per_frame=20)
    raw = bytearray(path.read_bytes())
    raw[-200] ^= 1
    path.write_bytes(raw)
    with pytest.raises(CaptureDamaged, match="damaged at frame"):
        async with CaptureReplay(path, speed=FAST, waits_for_client=False) as node:
            node.play()
            await node.run_until(asyncio.Event())


async def test_a_file_that_is_cut_short_plays_to_its_last_whole_frame(tmp_path: Path) -> None:
    records = steps_of_a_cluster(60)
    path = write_capture(tmp_path / "a", records, per_frame=20)
    path.write_bytes(path.read_bytes()[:-150])
    async with CaptureReplay(path, speed=FAST, waits_for_client=False) as node:
        node.play()
        await node.run_until(asyncio.Event(), or_end=True)
        assert node.cut_short is not None
        assert 0 < node.played < len(records)


async def test_a_slow_client_holds_the_play_up_and_is_not_dropped(
    tmp_path: Path, session: aiohttp.ClientSession
) -> None:
    records = steps_of_a_cluster(300)
    slots = [one.slot for one in records if isinstance(one, CapturedSlot)]
    path = write_capture(tmp_path / "a", records)
    async with CaptureReplay(path, speed=FAST, waits_for_client=False, queue_limit=8) as node:
        channel = await _channel(session, node)
        await channel.subscribe("slot")
        await channel.subscribe("program", str(DRIFT_PROGRAM), BASE64)
        node.play()
        heard = [(await channel.notification(lambda one: one["method"] == "slotNotification")) for _ in slots]
        assert [one["result"]["slot"] for one in heard] == slots
        assert node.counters.sockets_dropped == 0


@pytest.mark.parametrize("program", ["drift-v2"], indirect=True)
async def test_a_taken_port_is_named(tmp_path: Path, still: Simulator) -> None:
    path = write_capture(tmp_path / "a", steps_of_a_cluster(1))
    with pytest.raises(PortInUse):
        async with CaptureReplay(path, port=still.port):
            pass


def test_a_speed_of_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="speed is out of range"):
        CaptureReplay(write_capture(tmp_path / "a", []), speed=0)


def test_steps_are_the_same_every_time() -> None:
    def drop(number: int, cluster: Cluster) -> None:
        if number == 3:
            cluster.set_oracle_price("SOL-PERP", 99_000_000)

    assert steps_of_a_cluster(12, meanwhile=drop) == steps_of_a_cluster(12, meanwhile=drop)
