"""Subscriptions over WebSocket, as solders reads them."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import socket
from dataclasses import replace
from typing import Any

import orjson
import pytest
from driftpy.constants.config import DRIFT_PROGRAM_ID
from solders.pubkey import Pubkey
from solders.rpc.config import RpcTransactionLogsFilterMentions
from solders.rpc.responses import (
    AccountNotification,
    LogsNotification,
    ProgramNotification,
    SlotNotification,
    parse_websocket_message,
)
from solders.signature import Signature

from drift_simulator import Simulator, SimulatorConfig
from tests.support.wait import wait_until

from .conftest import Client


async def test_an_account_is_told_on_each_change(client: Client, still: Simulator) -> None:
    market = still.cluster.perp("SOL-PERP")
    channel = await client.connect()
    number = await channel.subscribe("account", str(market.pubkey), {"encoding": "base64"})
    still.set_oracle_price("SOL-PERP", 150_000_000)
    params = await channel.notification()
    assert params["subscription"] == number
    told = client.read("PerpMarket", base64.b64decode(params["result"]["value"]["data"][0]))
    assert told["historical_oracle_data.last_oracle_price"] == 150_000_000


async def test_a_program_is_told_by_filter(client: Client, still: Simulator) -> None:
    channel = await client.connect(offset=1)  # the port above serves WebSockets too
    spot = {"memcmp": {"offset": 0, "bytes": list(still.cluster.program.idl.account("SpotMarket").discriminator)}}
    await channel.subscribe("program", client.program, {"encoding": "base64", "filters": [spot]})
    still.set_oracle_price("SOL-PERP", 150_000_000)  # its oracle is that of SOL as well
    params = await channel.notification()
    assert params["result"]["value"]["pubkey"] == str(still.cluster.market("SOL").pubkey)
    still.step(200)
    names = {str(market.pubkey) for market in still.cluster.spot_markets}
    for _ in range(20):
        assert (await channel.notification())["result"]["value"]["pubkey"] in names


async def test_notifications_have_the_shapes_that_solders_reads(client: Client, still: Simulator) -> None:
    channel = await client.connect()
    address = str(still.cluster.perp("SOL-PERP").pubkey)
    await channel.subscribe("account", address, {"encoding": "base64+zstd"})
    await channel.subscribe("program", client.program, {"encoding": "base64"})
    await channel.subscribe("slot")
    await channel.subscribe("logs", "all")
    still.set_oracle_price("SOL-PERP", 150_000_000)
    still.settle_funding("SOL-PERP")
    wanted: set[type] = {AccountNotification, ProgramNotification, SlotNotification, LogsNotification}
    texts = [orjson.dumps(message).decode() for message in channel.notifications]
    seen: set[type] = set()
    while wanted - seen:
        text = texts.pop(0) if texts else await channel.socket.receive_str(timeout=30)
        (message,) = parse_websocket_message(text)
        seen.add(type(message))
        if isinstance(message, AccountNotification):
            assert client.read("PerpMarket", message.result.value.data)["market_index"] == 0
        if isinstance(message, SlotNotification):
            assert message.result.parent == message.result.slot - 1


@pytest.mark.parametrize("mention", [None, "program", "market"])
async def test_a_settlement_is_logged_with_its_record(client: Client, still: Simulator, mention: str | None) -> None:
    market = still.cluster.perp("ETH-PERP")
    channel = await client.connect()
    address = {"program": client.program, "market": str(market.pubkey)}.get(mention or "")
    await channel.subscribe("logs", {"mentions": [address]} if address else "all", {"commitment": "confirmed"})
    settled = still.settle_funding("ETH-PERP")
    assert settled is not None
    value = (await channel.notification())["result"]["value"]
    logs = value["logs"]
    assert value["err"] is None
    assert logs[0] == f"Program {client.program} invoke [1]"
    assert logs[1] == "Program log: Instruction: UpdateFundingRate"
    assert logs[-1] == f"Program {client.program} success"
    event = base64.b64decode(logs[2].removeprefix("Program data: "))
    assert event[:8] == hashlib.sha256(b"event:FundingRateRecord").digest()[:8]
    assert still.cluster.program.idl.event("FundingRateRecord").record(event).values() == vars(settled)
    assert (await client.result("getTransaction", value["signature"], {"commitment": "confirmed"}))["meta"][
        "logMessages"
    ] == logs


@pytest.mark.parametrize("program", ["drift-v2"], indirect=True)
async def test_driftpys_event_parser_reads_the_record(still: Simulator) -> None:
    from anchorpy import EventParser
    from driftpy.accounts.oracle import DRIFT_CODER

    settled = still.settle_funding("SOL-PERP")
    assert settled is not None
    (entry,) = still.cluster.transactions.mentioning(str(DRIFT_PROGRAM_ID))
    events: list[Any] = []
    EventParser(DRIFT_PROGRAM_ID, DRIFT_CODER).parse_logs(list(entry.logs), events.append)
    (event,) = events
    assert event.name == "FundingRateRecord"
    assert event.data.funding_rate == settled.funding_rate
    assert event.data.cumulative_funding_rate_long == settled.cumulative_funding_rate_long
    assert event.data.market_index == 0


async def test_other_mentions_are_not_told(client: Client, still: Simulator) -> None:
    channel = await client.connect()
    await channel.subscribe("logs", {"mentions": [str(Pubkey.default())]})
    still.settle_funding("SOL-PERP")
    await channel.call("slotUnsubscribe", 0)
    assert channel.notifications == []


@pytest.mark.parametrize("commitment", ["processed", "confirmed", "finalized"])
async def test_a_signature_is_told_once_and_as_settled_as_it_was_asked_for(
    client: Client, still: Simulator, commitment: str
) -> None:
    """A transaction that has landed before somebody asks is told as well."""
    still.settle_funding("SOL-PERP")
    channel = await client.connect()
    entry = still.cluster.transactions.mentioning(client.program)[0]
    number = await channel.subscribe("signature", entry.signature, {"commitment": commitment})
    params = await channel.notification()
    assert (params["subscription"], params["result"]["value"]) == (number, {"err": None})
    assert params["result"]["context"]["slot"] >= entry.slot
    (status,) = (await client.result("getSignatureStatuses", [entry.signature]))["value"]
    assert (status["confirmationStatus"] == "finalized") or commitment != "finalized"
    assert (await channel.call("signatureUnsubscribe", number))["error"]["code"] == -32602


async def test_a_signature_may_be_awaited_from_its_arrival_on(client: Client, still: Simulator) -> None:
    still.settle_funding("SOL-PERP")
    entry = still.cluster.transactions.mentioning(client.program)[0]
    again = replace(entry, signature=str(Signature.from_bytes(bytes([7] * 64))))
    channel = await client.connect()
    options = {"commitment": "confirmed", "enableReceivedNotification": True}
    await channel.subscribe("signature", again.signature, options)
    still.cluster.transactions.land(again)
    values = [(await channel.notification())["result"]["value"] for _ in range(2)]
    assert values == ["receivedSignature", {"err": None}]


async def test_unsubscribing_ends_it(client: Client, still: Simulator) -> None:
    channel = await client.connect()
    address = str(still.cluster.perp("SOL-PERP").pubkey)
    number = await channel.subscribe("account", address, {"encoding": "base64"})
    assert still.counters.subscriptions_open["accountSubscribe"] == 1
    assert (await channel.call("accountUnsubscribe", number))["result"] is True
    assert still.counters.subscriptions_open["accountSubscribe"] == 0
    still.set_oracle_price("SOL-PERP", 150_000_000)
    assert (await channel.call("accountUnsubscribe", number))["error"]["code"] == -32602
    assert channel.notifications == []


@pytest.mark.parametrize(
    ("method", "params", "code"),
    [
        ("bananaSubscribe", [], -32601),
        ("accountSubscribe", [], -32602),
        ("accountSubscribe", ["nope"], -32602),
        ("logsSubscribe", ["some"], -32602),
        ("logsSubscribe", [{"mentions": []}], -32602),
        ("signatureSubscribe", [], -32602),
        ("slotUnsubscribe", [99], -32602),
        ("slotSubscribe", {"a": 1}, -32602),
    ],
)
async def test_wrong_subscriptions_are_errors(client: Client, method: str, params: Any, code: int) -> None:
    channel = await client.connect()
    await channel.socket.send_bytes(orjson.dumps({"jsonrpc": "2.0", "id": 5, "method": method, "params": params}))
    answer = orjson.loads(await channel.socket.receive_str(timeout=30))
    assert (answer["id"], answer["error"]["code"]) == (5, code)


async def test_a_frame_that_is_no_json(client: Client) -> None:
    channel = await client.connect()
    await channel.socket.send_str("{nope")
    assert orjson.loads(await channel.socket.receive_str(timeout=30))["error"]["code"] == -32700


async def test_sockets_and_subscriptions_are_counted(client: Client, still: Simulator) -> None:
    channels = [await client.connect() for _ in range(3)]
    for channel in channels:
        await channel.subscribe("slot")
    counters = still.counters
    assert (counters.sockets_open, counters.sockets_peak, counters.sockets_total) == (3, 3, 3)
    assert counters.connection_attempts == 3
    assert counters.subscriptions_open["slotSubscribe"] == 3
    for channel in channels:
        await channel.socket.close()
    await wait_until(lambda: counters.sockets_open == 0, what="sockets closed")
    assert counters.subscriptions_open["slotSubscribe"] == 0
    assert counters.subscriptions_total["slotSubscribe"] == 3


async def test_a_slow_reader_is_dropped_and_others_are_not(client: Client, still: Simulator) -> None:
    quick = await client.connect()
    await quick.subscribe("slot")
    slow_config = SimulatorConfig(
        program=still.config.program, updates_per_second=0, slot_interval_s=0.05, queue_limit=64
    )
    async with Simulator(slow_config) as simulator:
        raw = socket.socket()
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        raw.setblocking(False)
        loop = asyncio.get_running_loop()
        await loop.sock_connect(raw, (simulator.config.host, simulator.port))
        reader, writer = await asyncio.open_connection(sock=raw, limit=1024)
        writer.write(
            b"GET / HTTP/1.1\r\nhost: x\r\nupgrade: websocket\r\nconnection: upgrade\r\n"
            b"sec-websocket-key: MDEyMzQ1Njc4OWFiY2RlZg==\r\nsec-websocket-version: 13\r\n\r\n"
        )
        call = orjson.dumps(
            {
                "jsonrpc": "2.0",
                "id": 1,
                "method": "programSubscribe",
                "params": [client.program, {"encoding": "base64"}],
            }
        )
        header = bytes([0x81, 0x80 | 126]) + len(call).to_bytes(2, "big") + bytes(4)
        writer.write(header + call)
        await reader.readuntil(b"\r\n\r\n")
        await wait_until(lambda: simulator.counters.subscriptions_open["programSubscribe"] == 1)

        def dropped() -> bool:
            simulator.step(50)
            return simulator.counters.sockets_dropped == 1

        await wait_until(dropped, what="the slow reader dropped")
        await wait_until(lambda: simulator.counters.sockets_open == 0)
        writer.close()
    assert await quick.notification()


async def test_solanas_own_client_subscribes(living: Simulator) -> None:
    from solana.rpc.websocket_api import connect

    async with connect(living.ws_url) as connection:
        await connection.slot_subscribe()
        (first,) = await connection.recv()
        assert isinstance(first.result, int)
        await connection.logs_subscribe(RpcTransactionLogsFilterMentions(living.cluster.program.program_id))
        await connection.recv()
