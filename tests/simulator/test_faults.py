"""Every fault can be seen from outside, and ends."""

from __future__ import annotations

import asyncio
import base64
import time
from contextlib import suppress
from typing import Any

import aiohttp
import orjson
import pytest

from drift_simulator import Fault, FaultKind, Simulator
from drift_simulator.layout import LayoutError
from tests.support.wait import wait_until

from .conftest import Client


@pytest.fixture
def address(still: Simulator) -> str:
    return str(still.cluster.perp("SOL-PERP").pubkey)


async def _data(client: Client, address: str) -> bytes | None:
    value = (await client.result("getAccountInfo", address, {"encoding": "base64"}))["value"]
    return None if value is None else base64.b64decode(value["data"][0])


async def _raw(client: Client, method: str = "getSlot") -> tuple[int, str, dict[str, str]]:
    body = orjson.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": [client.program]})
    async with client.session.post(client.simulator.http_url, data=body) as response:
        return response.status, await response.text(), dict(response.headers)


async def test_http_429_with_retry_after(client: Client, still: Simulator) -> None:
    still.faults.inject(Fault(kind="http_429", count=2, retry_after_s=7))
    for _ in range(2):
        status, text, headers = await _raw(client)
        assert (status, headers["Retry-After"]) == (429, "7")
        assert orjson.loads(text)["error"]["code"] == 429
    assert (await _raw(client))[0] == 200
    assert still.counters.http_errors[429] == 2


async def test_http_429_as_a_page_for_one_method(client: Client, still: Simulator) -> None:
    still.faults.inject(Fault(kind="http_html_429", method="getVersion"))
    status, text, headers = await _raw(client, "getVersion")
    assert (status, headers["Content-Type"].split(";")[0]) == (429, "text/html")
    assert text.startswith("<html>")
    assert (await _raw(client))[0] == 200


async def test_http_5xx(client: Client, still: Simulator) -> None:
    still.faults.inject(Fault(kind="http_5xx", status=502))
    assert (await _raw(client))[0] == 502
    still.faults.clear()
    assert (await _raw(client))[0] == 200


async def test_ws_429_and_ws_refused(client: Client, still: Simulator) -> None:
    still.faults.inject(Fault(kind="ws_429", count=1, retry_after_s=3))
    with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
        await client.connect()
    assert caught.value.status == 429
    assert caught.value.headers is not None
    assert caught.value.headers["Retry-After"] == "3"
    still.faults.inject(Fault(kind="ws_refused", count=1))
    # by hand, as aiohttp tries a GET again when its connection breaks
    reader, writer = await asyncio.open_connection(still.config.host, still.port)
    writer.write(b"GET / HTTP/1.1\r\nhost: x\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n")
    with suppress(ConnectionResetError):
        assert await asyncio.wait_for(reader.read(), 30) == b""
    writer.close()
    assert still.counters.connections_refused == 2
    await (await client.connect()).subscribe("slot")


async def test_silent_stall(client: Client, still: Simulator) -> None:
    channel = await client.connect()
    await channel.subscribe("slot")
    await channel.notification()
    still.faults.inject(Fault(kind="silent_stall"))
    with pytest.raises(TimeoutError):
        while True:
            await asyncio.wait_for(channel.notification(), 0.4)
    assert not channel.socket.closed
    assert await client.result("getSlot") > 0
    still.faults.clear("silent_stall")
    assert await channel.notification()


async def test_close_after_accept(client: Client, still: Simulator) -> None:
    still.faults.inject(Fault(kind="close_after_accept", count=1))
    channel = await client.connect()
    assert (await channel.socket.receive(timeout=30)).type == aiohttp.WSMsgType.CLOSE
    assert await (await client.connect()).subscribe("slot")


async def test_close_after_messages(client: Client, still: Simulator) -> None:
    channel = await client.connect()
    await channel.subscribe("account", str(still.cluster.perp("SOL-PERP").pubkey), {"encoding": "base64"})
    still.faults.inject(Fault(kind="close_after_messages", messages=3, count=1))
    for number in range(5):
        still.set_oracle_price("SOL-PERP", 150_000_000 + number)
    kinds = [(await channel.socket.receive(timeout=30)).type for _ in range(4)]
    assert kinds == [aiohttp.WSMsgType.TEXT] * 3 + [aiohttp.WSMsgType.CLOSE]
    assert await (await client.connect()).subscribe("slot")


async def test_slot_backwards_with_old_data(client: Client, still: Simulator, address: str) -> None:
    channel = await client.connect()
    await channel.subscribe("account", address, {"encoding": "base64"})
    old = still.account(address)
    still.faults.inject(Fault(kind="slot_backwards", slots=500))
    still.set_oracle_price("SOL-PERP", 177_000_000)
    result = (await channel.notification())["result"]
    assert result["context"]["slot"] < still.slot - 400
    assert base64.b64decode(result["value"]["data"][0]) == old
    await channel.subscribe("slot")
    told = await channel.notification(lambda message: message["method"] == "slotNotification")
    assert told["result"]["slot"] < still.slot - 400
    still.faults.clear()
    still.set_oracle_price("SOL-PERP", 178_000_000)
    result = (await channel.notification(lambda message: message["method"] == "accountNotification"))["result"]
    assert result["context"]["slot"] > still.slot - 100


async def test_slot_stuck(client: Client, still: Simulator, address: str) -> None:
    channel = await client.connect()
    await channel.subscribe("account", address, {"encoding": "base64"})
    await channel.subscribe("slot")
    still.faults.inject(Fault(kind="slot_stuck"))
    stuck = await client.result("getSlot")
    await wait_until(lambda: still.cluster.slot > stuck + 5)
    assert await client.result("getSlot") == stuck
    health = (await client.call("getHealth"))["error"]
    assert health["code"] == -32005
    assert health["data"]["numSlotsBehind"] > 5
    still.set_oracle_price("SOL-PERP", 177_000_000)
    told = await channel.notification(lambda message: message["method"] == "accountNotification")
    assert told["result"]["context"]["slot"] == stuck
    still.faults.clear()
    assert await client.result("getSlot") > stuck + 5


async def test_missing_account(client: Client, still: Simulator) -> None:
    oracle = str(still.cluster.perp("SOL-PERP").oracle)
    channel = await client.connect()
    await channel.subscribe("account", oracle, {"encoding": "base64"})
    still.faults.inject(Fault(kind="missing_account", pubkey=oracle))
    assert await _data(client, oracle) is None
    assert (await client.result("getMultipleAccounts", [oracle]))["value"] == [None]
    listed = await client.result("getProgramAccounts", client.program, {"encoding": "base64"})
    assert oracle not in {entry["pubkey"] for entry in listed}
    still.set_oracle_price("SOL-PERP", 177_000_000)
    await channel.call("slotUnsubscribe", 0)
    assert channel.notifications == []
    assert still.account(oracle) is not None
    still.faults.clear()
    assert await channel.notification()


async def _told(client: Client, still: Simulator, address: str, fault: Fault) -> dict[str, Any]:
    """Inject an account fault and return what subscribers and callers are then told, which must agree."""
    channel = await client.connect()
    await channel.subscribe("account", address, {"encoding": "base64"})
    still.faults.inject(fault)
    told: dict[str, Any] = (await channel.notification())["result"]["value"]
    asked = (await client.result("getAccountInfo", address, {"encoding": "base64"}))["value"]
    assert told == asked
    still.faults.clear()
    restored = (await channel.notification())["result"]["value"]
    assert base64.b64decode(restored["data"][0]) == still.account(address)
    return told


async def test_garbage_account(client: Client, still: Simulator, address: str) -> None:
    told = await _told(client, still, address, Fault(kind="garbage_account", pubkey=address))
    garbage = base64.b64decode(told["data"][0])
    truth = still.account(address)
    assert truth is not None
    assert len(garbage) == len(truth)
    assert garbage[:8] != truth[:8]


@pytest.mark.parametrize("part", ["owner", "discriminator", "both"])
async def test_wrong_layout(client: Client, still: Simulator, address: str, part: str) -> None:
    told = await _told(client, still, address, Fault(kind="wrong_layout", pubkey=address, part=part))
    truth = still.account(address)
    assert truth is not None
    data = base64.b64decode(told["data"][0])
    assert (told["owner"] == client.program) == (part == "discriminator")
    assert (data[:8] == truth[:8]) == (part == "owner")
    assert data[8:] == truth[8:]


@pytest.mark.parametrize("size", [None, 40])
async def test_short_account(client: Client, still: Simulator, address: str, size: int | None) -> None:
    truth = still.account(address)
    assert truth is not None
    told = await _told(client, still, address, Fault(kind="short_account", pubkey=address, size=size))
    expected = len(truth) // 2 if size is None else size
    assert len(base64.b64decode(told["data"][0])) == told["space"] == expected


@pytest.mark.parametrize("field", ["status", "oracle_source"])
async def test_unknown_enum(client: Client, still: Simulator, address: str, field: str) -> None:
    fault = Fault(kind="unknown_enum", pubkey=address, field=field, value=200)
    told = await _told(client, still, address, fault)
    record = client.read("PerpMarket", base64.b64decode(told["data"][0]))
    assert record[field] == 200
    with pytest.raises(LayoutError, match=f"{field} holds 200"):
        record.variant(field)
    truth = still.cluster.perp("SOL-PERP").copy()
    truth[field] = 200
    assert bytes(record) == bytes(truth)


async def test_garbage_ws(client: Client, still: Simulator) -> None:
    channel = await client.connect()
    await channel.subscribe("slot")
    still.faults.inject(Fault(kind="garbage_ws", count=1))
    while True:
        text = await channel.socket.receive_str(timeout=30)
        try:
            orjson.loads(text)
        except orjson.JSONDecodeError:
            break
    assert await channel.notification()


async def test_delay_of_an_answer_and_of_notifications(client: Client, still: Simulator, address: str) -> None:
    still.faults.inject(Fault(kind="delay", seconds=0.3, method="getVersion"))
    await client.result("getSlot")
    began = time.monotonic()
    await client.result("getVersion")
    assert time.monotonic() - began >= 0.3
    channel = await client.connect()
    await channel.subscribe("account", address, {"encoding": "base64"})
    still.faults.inject(Fault(kind="delay", seconds=0.3, method="accountSubscribe"))
    began = time.monotonic()
    still.set_oracle_price("SOL-PERP", 177_000_000)
    await channel.notification()
    assert time.monotonic() - began >= 0.3


async def test_half_open(client: Client, still: Simulator) -> None:
    channel = await client.connect()
    await channel.subscribe("slot")
    still.faults.inject(Fault(kind="half_open"))
    with pytest.raises(TimeoutError):
        while True:
            await asyncio.wait_for(channel.notification(), 0.4)
    await channel.send("slotSubscribe")
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(client.call("getSlot"), 0.3)
    assert not channel.socket.closed
    still.faults.clear()
    assert await channel.notification()
    assert await client.result("getSlot")


async def test_reorder_confirmations(client: Client, still: Simulator) -> None:
    still.faults.inject(Fault(kind="reorder_confirmations", messages=3))
    channel = await client.connect()
    addresses = [str(market.pubkey) for market in still.cluster.perp_markets[:3]]
    sent = [await channel.send("accountSubscribe", address, {"encoding": "base64"}) for address in addresses]
    answers = [orjson.loads(await channel.socket.receive_str(timeout=30)) for _ in sent]
    assert [answer["id"] for answer in answers] == sent[::-1]
    # fewer than asked for are not held for ever
    assert await channel.subscribe("slot")


async def test_jsonrpc_error(client: Client, still: Simulator) -> None:
    fault = Fault(kind="jsonrpc_error", method="getSlot", code=-32603, message="Internal error", count=1)
    still.faults.inject(fault)
    assert "result" in await client.call("getVersion")
    assert (await client.call("getSlot"))["error"] == {"code": -32603, "message": "Internal error"}
    assert "result" in await client.call("getSlot")
    still.faults.inject(Fault(kind="jsonrpc_error", method="slotSubscribe"))
    assert (await (await client.connect()).call("slotSubscribe"))["error"]["code"] == -32005


async def test_refuse_get_program_accounts(client: Client, still: Simulator) -> None:
    still.faults.inject(Fault(kind="refuse_get_program_accounts"))
    assert (await client.call("getProgramAccounts", client.program))["error"]["code"] == -32010


@pytest.mark.parametrize(
    ("body", "begins"),
    [("json", '{"jsonrpc"'), ("html", "<!DOCTYPE html>"), ("empty", "")],
)
async def test_http_refused(client: Client, still: Simulator, body: str, begins: str) -> None:
    still.faults.inject(Fault(kind="http_refused", status=403, body=body, method="getVersion"))
    status, text, _ = await _raw(client, "getVersion")
    assert status == 403
    assert text.startswith(begins)
    assert bool(text) == (body != "empty")
    assert (await _raw(client))[0] == 200, "another method is served"
    assert still.counters.http_errors[403] == 1


@pytest.mark.parametrize("status", [200, 400, 413])
async def test_accounts_limit(client: Client, still: Simulator, status: int) -> None:
    still.faults.inject(Fault(kind="accounts_limit", most=2, status=status, code=-32602, message="max 2"))
    addresses = [str(market.pubkey) for market in still.cluster.perp_markets[:3]]
    assert len((await client.result("getMultipleAccounts", addresses[:2]))["value"]) == 2
    call = {"jsonrpc": "2.0", "id": 1, "method": "getMultipleAccounts", "params": [addresses]}
    async with client.session.post(still.http_url, data=orjson.dumps(call)) as response:
        assert response.status == status
        assert orjson.loads(await response.read())["error"] == {"code": -32602, "message": "max 2"}


async def test_subscription_limit(client: Client, still: Simulator) -> None:
    """Of one socket, not of all: the next is refused, or costs the socket."""
    still.faults.inject(Fault(kind="subscription_limit", most=2, message="no more"))
    first, second = await client.connect(), await client.connect()
    for channel in (first, second):
        for _ in range(2):
            await channel.subscribe("slot")
        assert (await channel.call("slotSubscribe"))["error"]["message"] == "no more"
    still.faults.clear()
    await first.subscribe("slot")
    still.faults.inject(Fault(kind="subscription_limit", most=2, body="empty"))
    await second.send("slotSubscribe")
    await wait_until(lambda: still.counters.sockets_open == 1, what="the socket is cut")


async def test_subscription_rate(client: Client, still: Simulator) -> None:
    rate: dict[str, Any] = {"kind": "subscription_rate", "most": 2, "code": -32429, "message": "slower"}
    still.faults.inject(Fault(seconds=60, **rate))
    channel = await client.connect()
    answers = [await channel.call("slotSubscribe") for _ in range(4)]
    assert [answer.get("error", {}).get("code") for answer in answers] == [None, None, -32429, -32429]
    still.faults.clear()
    still.faults.inject(Fault(seconds=0.2, **rate))

    async def is_taken() -> bool:
        return "result" in await channel.call("slotSubscribe")

    await wait_until(is_taken, what="it is taken again")


async def test_idle_cut(client: Client, still: Simulator) -> None:
    still.faults.inject(Fault(kind="idle_cut", seconds=0.5))
    pinging, silent = await client.connect(), await client.connect()
    await silent.subscribe("slot")
    async with asyncio.timeout(30):
        while still.counters.sockets_open == 2:
            await pinging.socket.ping()
            await asyncio.sleep(0.05)
    assert await pinging.subscribe("slot"), "the one that sent pings lives"


async def test_mute_socket(client: Client, still: Simulator) -> None:
    """One of two falls silent for good, and both stay open."""
    channels = [await client.connect(), await client.connect()]
    for channel in channels:
        await channel.subscribe("slot")
    still.faults.inject(Fault(kind="mute_socket", count=1))
    await wait_until(lambda: not still.faults.listing(), what="one is silenced")
    still.cluster.advance_slot()
    answered = []
    for channel in channels:
        call = asyncio.create_task(channel.call("slotSubscribe"))
        await asyncio.wait([call], timeout=0.5)
        answered.append(call.done())
        call.cancel()
        await asyncio.gather(call, return_exceptions=True)
    assert sorted(answered) == [False, True]
    assert still.counters.sockets_open == 2


async def test_a_fault_ends_by_itself(client: Client, still: Simulator) -> None:
    still.faults.inject(Fault(kind="http_5xx", duration_s=0.2))
    assert (await _raw(client))[0] == 503

    async def over() -> bool:
        return (await _raw(client))[0] == 200

    await wait_until(over)
    assert still.faults.listing() == []


async def test_the_control_api(client: Client, still: Simulator, address: str) -> None:
    url, session = f"{still.http_url}/faults", client.session
    async with session.get(url) as response:
        told = await response.json()
    assert told["faults"] == []
    assert set(told["kinds"]) == {kind.value for kind in FaultKind}
    for body in ({"kind": "http_5xx", "status": 500}, {"kind": "missing_account", "pubkey": address}):
        async with session.post(url, json=body) as response:
            assert response.status == 201
    assert (await _raw(client))[0] == 500
    async with session.get(url) as response:
        listed = (await response.json())["faults"]
    assert [(entry["kind"], entry["hits"]) for entry in listed] == [("http_5xx", 1), ("missing_account", 0)]
    async with session.delete(url, params={"kind": "http_5xx"}) as response:
        assert await response.json() == {"cleared": 1}
    assert await _data(client, address) is None
    async with session.delete(url) as response:
        assert await response.json() == {"cleared": 1}
    for wrong in ({"kind": "nope"}, {"kind": "missing_account"}, {"kind": "delay", "banana": 1}, {}):
        async with session.post(url, json=wrong) as response:
            assert response.status == 400
            assert (await response.json())["error"]
    async with session.delete(url, params={"kind": "nope"}) as response:
        assert response.status == 400
    async with session.get(f"{still.http_url}/markets") as response:
        markets = await response.json()
    assert {entry["name"] for entry in markets} >= {"SOL-PERP", "SOL"}


async def test_a_set_account_stays_and_is_told(client: Client, still: Simulator, address: str) -> None:
    channel = await client.connect()
    await channel.subscribe("account", address, {"encoding": "base64"})
    still.set_account(address, b"anything", owner=client.program)
    value = (await channel.notification())["result"]["value"]
    assert base64.b64decode(value["data"][0]) == b"anything"
    still.set_oracle_price("SOL-PERP", 177_000_000)
    assert await _data(client, address) == b"anything"
    assert still.settle_funding("SOL-PERP") is None


async def test_a_fault_limited_to_one_account(client: Client, still: Simulator, address: str) -> None:
    other = str(still.cluster.perp("BTC-PERP").pubkey)
    still.faults.inject(Fault(kind="http_429", pubkey=address))
    still.faults.inject(Fault(kind="silent_stall", pubkey=address))
    body = {"jsonrpc": "2.0", "id": 1, "method": "getMultipleAccounts"}
    assert (await client.post({**body, "params": [[other]]}))[0] == 200
    assert (await client.post({**body, "params": [[other, address]]}))[0] == 429
    channel = await client.connect()
    await channel.subscribe("account", address, {"encoding": "base64"})
    number = await channel.subscribe("account", other, {"encoding": "base64"})
    still.set_oracle_price("SOL-PERP", 177_000_000)
    still.set_oracle_price("BTC-PERP", 99_000_000_000)
    assert (await channel.notification())["subscription"] == number


async def test_a_replaced_account_can_be_restored(client: Client, still: Simulator, address: str) -> None:
    truth = still.account(address)
    still.set_account(address, b"first")
    still.set_account(address, b"second")
    still.restore_account(address)
    assert await _data(client, address) == truth
    still.set_oracle_price("SOL-PERP", 177_000_000)
    assert await _data(client, address) != truth
    nowhere = client.program
    still.set_account(nowhere, b"new", owner=client.program)
    assert await _data(client, nowhere) == b"new"
    still.restore_account(nowhere)
    assert await _data(client, nowhere) is None
    still.restore_account(nowhere)
