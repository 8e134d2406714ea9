"""The JSON-RPC methods, in Solana's forms."""

from __future__ import annotations

import asyncio
import base64
import gzip
import hashlib
import struct
import time

import aiohttp
import base58
import orjson
import pytest
import zstandard
from driftpy.constants.config import DRIFT_PROGRAM_ID
from solana.rpc.async_api import AsyncClient
from solana.rpc.commitment import Confirmed
from solders.pubkey import Pubkey
from solders.signature import Signature

from drift_simulator import Fault, Simulator
from tests.support.wait import wait_until

from .conftest import Client

CLOCK = "SysvarC1ock11111111111111111111111111111111"
KEY = str(DRIFT_PROGRAM_ID)
PERP_DISCRIMINATOR = hashlib.sha256(b"account:PerpMarket").digest()[:8]


async def test_an_account_in_every_encoding(client: Client, still: Simulator) -> None:
    market = still.cluster.perp("SOL-PERP")
    address, truth = str(market.pubkey), bytes(market.record)
    answer = await client.result("getAccountInfo", address, {"encoding": "base64", "commitment": "confirmed"})
    assert answer["context"]["slot"] == pytest.approx(still.slot, abs=20)
    value = answer["value"]
    assert base64.b64decode(value["data"][0]) == truth
    assert value["data"][1] == "base64"
    assert (value["owner"], value["executable"], value["space"]) == (client.program, False, len(truth))
    zipped = await client.result("getAccountInfo", address, {"encoding": "base64+zstd"})
    compressed = base64.b64decode(zipped["value"]["data"][0])
    assert zstandard.ZstdDecompressor().decompress(compressed) == truth
    sliced = {"encoding": "base58", "dataSlice": {"offset": 8, "length": 32}}
    answer = await client.result("getAccountInfo", address, sliced)
    assert base58.b58decode(answer["value"]["data"][0]) == bytes(market.pubkey)
    answer = await client.result("getAccountInfo", address, {"dataSlice": {"offset": 0, "length": 8}})
    assert base58.b58decode(answer["value"]["data"]) == PERP_DISCRIMINATOR
    large = await client.call("getAccountInfo", address)
    assert large["error"]["code"] == -32600
    assert "128 bytes" in large["error"]["message"]


async def test_missing_accounts_are_null(client: Client, still: Simulator) -> None:
    nobody, market = str(Pubkey.default()), str(still.cluster.perp("SOL-PERP").pubkey)
    assert (await client.result("getAccountInfo", nobody, {"encoding": "base64"}))["value"] is None
    many = await client.result("getMultipleAccounts", [nobody, market, nobody], {"encoding": "base64"})
    assert [entry is None for entry in many["value"]] == [True, False, True]
    assert (await client.result("getBalance", nobody))["value"] == 0
    assert (await client.result("getBalance", market))["value"] > 0


async def test_at_most_a_hundred_accounts(client: Client) -> None:
    addresses = [str(Pubkey.default())] * 101
    assert len((await client.result("getMultipleAccounts", addresses[:100]))["value"]) == 100
    assert (await client.call("getMultipleAccounts", addresses))["error"] == {
        "code": -32602,
        "message": "Too many inputs provided; max 100",
    }


@pytest.mark.parametrize(
    "memcmp",
    [
        {"offset": 0, "bytes": base58.b58encode(PERP_DISCRIMINATOR).decode()},
        {"offset": 0, "bytes": base58.b58encode(PERP_DISCRIMINATOR).decode(), "encoding": "base58"},
        {"offset": 0, "bytes": base64.b64encode(PERP_DISCRIMINATOR).decode(), "encoding": "base64"},
        {"offset": 0, "bytes": list(PERP_DISCRIMINATOR)},
    ],
)
async def test_program_accounts_by_memcmp(client: Client, still: Simulator, memcmp: dict[str, object]) -> None:
    options = {"filters": [{"memcmp": memcmp}], "encoding": "base64", "withContext": True}
    answer = await client.result("getProgramAccounts", client.program, options)
    assert {entry["pubkey"] for entry in answer["value"]} == {
        str(market.pubkey) for market in still.cluster.perp_markets
    }
    for entry in answer["value"]:
        record = client.read("PerpMarket", base64.b64decode(entry["account"]["data"][0]))
        assert str(Pubkey.from_bytes(record.raw("pubkey"))) == entry["pubkey"]


async def test_program_accounts_by_size_and_slice(client: Client, still: Simulator) -> None:
    layout = still.cluster.program.idl.account("SpotMarket")
    options = {
        "filters": [{"dataSize": layout.size}],
        "encoding": "base64",
        "dataSlice": {"offset": layout.fields["market_index"].offset, "length": 2},
    }
    answer = await client.result("getProgramAccounts", client.program, options)
    indexes = {int.from_bytes(base64.b64decode(entry["account"]["data"][0]), "little") for entry in answer}
    assert indexes == {market.index for market in still.cluster.spot_markets}
    both = {"filters": [{"dataSize": layout.size}, {"memcmp": {"offset": 0, "bytes": "2pTyMkwXuti"}}]}
    assert await client.result("getProgramAccounts", client.program, both) == []


@pytest.mark.parametrize("program", ["drift-v2"], indirect=True)
async def test_oracles_of_another_program_are_its_accounts(client: Client) -> None:
    receiver = "rec5EKMGg6MxZYaMdyBfgwp4d5rB9T1VQH5pJv5LtFJ"
    pulls = await client.result("getProgramAccounts", receiver, {"encoding": "base64"})
    assert {entry["account"]["space"] for entry in pulls} == {134}


async def test_the_chains_clock_is_read_as_it_is_now(client: Client, still: Simulator) -> None:
    options = {"encoding": "base64", "commitment": "confirmed"}
    before, slot_before = int(time.time()), still.slot
    value = (await client.result("getAccountInfo", CLOCK, options))["value"]
    assert (value["owner"], value["space"]) == ("Sysvar1111111111111111111111111111111111111", 40)
    assert value["lamports"] == 1_169_280  # what it holds on mainnet
    slot, began, epoch, next_epoch, now = struct.unpack("<QqQQq", base64.b64decode(value["data"][0]))
    assert before <= now <= int(time.time())
    assert slot_before <= slot <= still.slot
    assert (epoch, next_epoch) == (slot // 432_000, epoch + 1)
    assert began < now

    async def later() -> bool:
        (value,) = (await client.result("getMultipleAccounts", [CLOCK], options))["value"]
        told = struct.unpack("<QqQQq", base64.b64decode(value["data"][0]))
        return told[0] > slot and told[4] > now

    await wait_until(later, what="the clock goes on, slot and time")


async def test_the_chains_clock_can_be_set_and_can_be_missing(client: Client, still: Simulator) -> None:
    wrong = struct.pack("<QqQQq", 1, 2, 3, 4, 5)
    still.set_account(CLOCK, wrong, owner="Sysvar1111111111111111111111111111111111111")
    value = (await client.result("getAccountInfo", CLOCK, {"encoding": "base64"}))["value"]
    assert base64.b64decode(value["data"][0]) == wrong
    still.restore_account(CLOCK)
    assert (await client.result("getAccountInfo", CLOCK, {"encoding": "base64"}))["value"]["space"] == 40
    still.faults.inject(Fault(kind="missing_account", pubkey=CLOCK))
    assert (await client.result("getAccountInfo", CLOCK, {"encoding": "base64"}))["value"] is None


@pytest.mark.parametrize(
    ("method", "params", "code"),
    [
        ("getNothing", [], -32601),
        ("getAccountInfo", [], -32602),
        ("getAccountInfo", ["not a key"], -32602),
        ("getAccountInfo", [7], -32602),
        ("getAccountInfo", [KEY, "options"], -32602),
        ("getAccountInfo", [KEY, {"encoding": "morse"}], -32602),
        ("getAccountInfo", [KEY, {"dataSlice": {"offset": 1}}], -32602),
        ("getAccountInfo", {"key": KEY}, -32602),
        ("getMultipleAccounts", [KEY], -32602),
        ("getProgramAccounts", [KEY, {"filters": [{"memcmp": {"offset": 0, "bytes": "0OIl"}}]}], -32602),
        ("getProgramAccounts", [KEY, {"filters": [{"memcmp": {"offset": 0}}]}], -32602),
        ("getProgramAccounts", [KEY, {"filters": [{"color": 1}]}], -32602),
        ("getProgramAccounts", [KEY, {"filters": [{"dataSize": 1}] * 5}], -32602),
        ("getSlot", [{"minContextSlot": 10**12}], -32016),
        ("getTransaction", [], -32602),
        ("getSignaturesForAddress", [KEY, {"limit": 0}], -32602),
    ],
)
async def test_errors_have_solanas_codes(client: Client, method: str, params: object, code: int) -> None:
    status, answer = await client.post({"jsonrpc": "2.0", "id": "x", "method": method, "params": params})
    assert status == 200
    assert answer["error"]["code"] == code
    assert answer["id"] == "x"


async def test_bodies_that_are_no_requests(client: Client) -> None:
    assert (await client.post(b"{nope"))[1]["error"] == {"code": -32700, "message": "Parse error"}


async def test_batches(client: Client) -> None:
    batch = [{"jsonrpc": "2.0", "id": n, "method": m} for n, m in enumerate(["getHealth", "getSlot", "getNo"])]
    status, answers = await client.post(batch)
    assert status == 200
    assert [answer["id"] for answer in answers] == [0, 1, 2]
    assert answers[0]["result"] == "ok"
    assert "error" in answers[2]


async def test_a_gzip_header_on_a_plain_body_and_on_a_zipped_one(client: Client, still: Simulator) -> None:
    body = orjson.dumps({"jsonrpc": "2.0", "id": 1, "method": "getHealth"})
    headers = {"content-encoding": "gzip", "content-type": "application/json"}
    for data in (body, gzip.compress(body)):
        # aiohttp would zip a body under this header itself, so the request is written by hand
        reader, writer = await _raw_post(still, headers, data)
        answer = await reader.read()
        writer.close()
        assert b'"result":"ok"' in answer


async def _raw_post(
    simulator: Simulator, headers: dict[str, str], body: bytes
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection(simulator.config.host, simulator.port)
    lines = ["POST / HTTP/1.1", "host: localhost", "connection: close", f"content-length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    writer.write("\r\n".join(lines).encode() + b"\r\n\r\n" + body)
    await writer.drain()
    return reader, writer


async def test_small_methods(client: Client, still: Simulator) -> None:
    genesis = await client.result("getGenesisHash")
    assert len(base58.b58decode(genesis)) == 32
    assert genesis != "5eykt4UsFv8P8NJdTREpY1vzqKqZKvdpKuc147dw2N9d"  # nobody takes it for mainnet
    assert (await client.result("getVersion"))["solana-core"]
    assert await client.result("getSlot", {"commitment": "processed"}) >= still.cluster.slot - 20
    latest = (await client.result("getLatestBlockhash"))["value"]
    assert len(base58.b58decode(latest["blockhash"])) == 32
    assert latest["lastValidBlockHeight"] > await client.result("getBlockHeight")


async def test_slots_advance_and_others_see_a_get_refused(living_client: Client, living: Simulator) -> None:
    first = living.slot
    while await living_client.result("getSlot") == first:
        pass
    async with living_client.session.get(living.http_url) as response:
        assert response.status == 405


async def test_a_settlement_is_found_by_solanas_own_client(still: Simulator) -> None:
    settled = still.settle_funding("SOL-PERP")
    assert settled is not None
    market = still.cluster.perp("SOL-PERP")
    async with AsyncClient(still.http_url, commitment=Confirmed) as connection:
        (found,) = (await connection.get_signatures_for_address(still.cluster.program.program_id)).value
        assert (await connection.get_signatures_for_address(market.pubkey)).value == [found]
        assert found.block_time == settled.ts
        assert found.err is None
        for encoding in ("json", "base64"):
            got = (await connection.get_transaction(found.signature, encoding)).value
            assert got is not None
            meta = got.transaction.meta
            assert meta is not None
            assert meta.log_messages is not None
            assert meta.log_messages[1] == "Program log: Instruction: UpdateFundingRate"
            assert got.slot == found.slot
        assert (await connection.get_transaction(Signature.default())).value is None


async def test_signatures_page(client: Client, still: Simulator) -> None:
    for name in ("SOL-PERP", "BTC-PERP", "ETH-PERP"):
        still.settle_funding(name)
    options = {"commitment": "confirmed"}
    every = await client.result("getSignaturesForAddress", client.program, options)
    newest, middle, oldest = (entry["signature"] for entry in every)
    bounds = {"before": newest, "until": oldest, **options}
    page = await client.result("getSignaturesForAddress", client.program, bounds)
    assert [entry["signature"] for entry in page] == [middle]
    assert len(await client.result("getSignaturesForAddress", client.program, {"limit": 1, **options})) == 1


async def test_requests_are_counted(client: Client, still: Simulator, session: aiohttp.ClientSession) -> None:
    await client.call("getSlot")
    await client.post([{"jsonrpc": "2.0", "method": name, "id": name} for name in ("getSlot", "getHealth")])
    async with session.get(f"{still.http_url}/counters") as response:
        counters = await response.json()
    assert counters == {**still.counters.snapshot()}
    assert counters["requests"] == 3
    assert counters["http_posts"] == 2
    assert counters["requests_by_method"] == {"getSlot": 2, "getHealth": 1}
    assert counters["bytes_in"] > 50
    assert counters["bytes_out"] > 50
    still.counters.reset()
    assert still.counters.requests == 0
