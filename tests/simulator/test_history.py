"""Transactions, blocks and fees: what a node tells of them agrees with the ledger, and with Solana's own clients."""

from __future__ import annotations

import base64
from typing import Any

import orjson
import pytest
from solana.rpc.async_api import AsyncClient
from solana.rpc.commitment import Confirmed, Finalized
from solders.compute_budget import set_compute_unit_limit, set_compute_unit_price
from solders.hash import Hash
from solders.keypair import Keypair
from solders.message import Message, MessageV0
from solders.pubkey import Pubkey
from solders.rpc.responses import GetTransactionResp, IsBlockhashValidResp
from solders.signature import Signature
from solders.system_program import TransferParams, transfer
from solders.transaction_status import ParsedAccount, TransactionConfirmationStatus, UiPartiallyDecodedInstruction

from drift_simulator import Fault, Simulator
from drift_simulator.transactions import ChainTransaction
from tests.support.wait import wait_until

from .conftest import Client

CONFIRMED = {"commitment": "confirmed"}
NOBODY = str(Signature.default())


@pytest.fixture
def program() -> str:
    """One of them: a node tells of each in the same way."""
    return "velocity-v1"


@pytest.fixture
def landed(still: Simulator) -> ChainTransaction:
    """A settlement that has just landed."""
    assert still.settle_funding("SOL-PERP") is not None
    return still.cluster.transactions.mentioning(str(still.cluster.program.program_id))[0]


async def is_final(still: Simulator, landed: ChainTransaction) -> None:
    await wait_until(lambda: still.slot >= landed.slot + 32, what="its block is finalized")


async def test_a_parsed_transaction_as_solanas_own_client_reads_it(still: Simulator, landed: ChainTransaction) -> None:
    market = still.cluster.perp("SOL-PERP")
    async with AsyncClient(still.http_url) as connection:
        signature = Signature.from_string(landed.signature)
        got = (await connection.get_transaction(signature, "jsonParsed", Confirmed)).value
    assert got is not None
    assert (got.slot, got.block_time) == (landed.slot, landed.block_time)
    message = got.transaction.transaction.message  # type: ignore[union-attr]
    keys = [key for key in message.account_keys if isinstance(key, ParsedAccount)]
    assert len(keys) == len(message.account_keys) == len(landed.accounts)
    assert [key.signer for key in keys] == [True, *[False] * (len(keys) - 1)]
    assert {str(key.pubkey) for key in keys if key.writable} == {landed.accounts[0], str(market.pubkey)}
    (instruction,) = message.instructions
    assert isinstance(instruction, UiPartiallyDecodedInstruction)
    assert instruction.program_id == still.cluster.program.program_id
    assert instruction.accounts[1] == market.pubkey


@pytest.mark.parametrize("encoding", ["json", "jsonParsed", "base64", "base58", "binary"])
async def test_every_encoding_parses(client: Client, landed: ChainTransaction, encoding: str) -> None:
    answer = await client.call("getTransaction", landed.signature, {"encoding": encoding, **CONFIRMED})
    assert "version" not in answer["result"], "told to those who say that they know of versions"
    if encoding == "binary":
        assert isinstance(answer["result"]["transaction"], str)
        return
    parsed = GetTransactionResp.from_json(orjson.dumps(answer).decode())
    assert isinstance(parsed, GetTransactionResp)
    assert parsed.value is not None
    assert parsed.value.slot == landed.slot


async def test_versions_are_told_to_who_knows_of_them(client: Client, landed: ChainTransaction) -> None:
    options = {"maxSupportedTransactionVersion": 0, **CONFIRMED}
    assert (await client.result("getTransaction", landed.signature, options))["version"] == "legacy"


async def test_a_transaction_is_seen_by_its_commitment(
    client: Client, still: Simulator, landed: ChainTransaction
) -> None:
    """By default a client waits for ``finalized``, and sees nothing of what has just landed."""
    (status, unknown) = (await client.result("getSignatureStatuses", [landed.signature, NOBODY]))["value"]
    assert unknown is None
    assert (status["slot"], status["err"], status["status"]) == (landed.slot, None, {"Ok": None})
    if still.slot < landed.slot + 20:  # on a machine that does something else it may be final already
        assert status["confirmationStatus"] == "confirmed"
        assert 0 <= status["confirmations"] < 32
    assert await client.result("getTransaction", landed.signature, CONFIRMED)
    assert await client.result("getSignaturesForAddress", landed.accounts[0], CONFIRMED)
    refused = await client.call("getTransaction", landed.signature, {"commitment": "processed"})
    assert "below `confirmed`" in refused["error"]["message"]
    await is_final(still, landed)
    (status,) = (await client.result("getSignatureStatuses", [landed.signature]))["value"]
    assert (status["confirmationStatus"], status["confirmations"]) == ("finalized", None)
    assert await client.result("getTransaction", landed.signature)
    (found,) = await client.result("getSignaturesForAddress", landed.accounts[0])
    assert (found["signature"], found["confirmationStatus"]) == (landed.signature, "finalized")


async def test_solanas_own_client_awaits_a_confirmation(still: Simulator, landed: ChainTransaction) -> None:
    signature = Signature.from_string(landed.signature)
    async with AsyncClient(still.http_url) as connection:
        assert (await connection.confirm_transaction(signature, Finalized, sleep_seconds=0.1)).value[0] is not None
        (status,) = (await connection.get_signature_statuses([signature], search_transaction_history=True)).value
    assert status is not None
    assert status.confirmation_status == TransactionConfirmationStatus.Finalized


async def test_what_is_not_final_is_not_seen_by_default(still: Simulator, client: Client) -> None:
    """Asked of a node whose slot stands still, so that nothing becomes final meanwhile."""
    still.settle_funding("SOL-PERP")
    still.faults.inject(Fault(kind="slot_stuck"))
    entry = still.cluster.transactions.mentioning(client.program)[0]
    if still.slot >= entry.slot + 32:
        pytest.skip("this machine took 32 slots to come here")
    assert await client.result("getTransaction", entry.signature) is None
    assert await client.result("getSignaturesForAddress", entry.accounts[0]) == []
    assert await client.result("getTransaction", entry.signature, CONFIRMED)


async def test_block_times_are_those_of_what_is_in_the_blocks(
    client: Client, still: Simulator, landed: ChainTransaction
) -> None:
    async with AsyncClient(still.http_url) as connection:
        assert (await connection.get_block_time(landed.slot)).value == landed.block_time
        assert (await connection.get_block_time(0)).value == 1_584_368_940
    first = still.cluster.blocks.first
    assert first is not None
    ahead = await client.call("getBlockTime", still.slot + 10_000)
    assert ahead["error"]["code"] == -32004
    gone = await client.call("getBlockTime", first - 1)
    assert gone["error"]["code"] == -32001
    assert f"First available block: {first}" in gone["error"]["message"]
    still.cluster.slot += 1_000
    skipped = await client.call("getBlockTime", still.slot - 500)
    assert skipped["error"]["code"] == -32007


async def test_epoch_height_and_slot_agree(client: Client, still: Simulator, landed: ChainTransaction) -> None:
    async with AsyncClient(still.http_url) as connection:
        info = (await connection.get_epoch_info(Confirmed)).value
    assert info.epoch * info.slots_in_epoch + info.slot_index == info.absolute_slot
    assert info.slot_index < info.slots_in_epoch == 432_000
    assert landed.slot <= info.absolute_slot <= still.slot
    assert info.transaction_count == len(still.cluster.transactions) == 1
    told = await client.result("getEpochInfo")
    assert told["absoluteSlot"] - told["blockHeight"] == info.absolute_slot - (info.block_height or 0)
    late = await client.call("getEpochInfo", {"minContextSlot": 2**50})
    assert late["error"]["code"] == -32016


async def test_a_blockhash_is_good_for_150_slots(client: Client, still: Simulator) -> None:
    async with AsyncClient(still.http_url) as connection:
        latest = (await connection.get_latest_blockhash(Confirmed)).value
    answer = await client.call("isBlockhashValid", str(latest.blockhash), CONFIRMED)
    parsed = IsBlockhashValidResp.from_json(orjson.dumps(answer).decode())
    assert isinstance(parsed, IsBlockhashValidResp)
    assert parsed.value is True
    height = await client.result("getBlockHeight")
    assert latest.last_valid_block_height >= height
    still.cluster.slot += latest.last_valid_block_height - height + 1
    assert (await client.result("isBlockhashValid", str(latest.blockhash)))["value"] is False
    assert (await client.result("isBlockhashValid", str(Hash.default())))["value"] is False
    for bad in ("abc", 7, None):
        assert (await client.call("isBlockhashValid", bad))["error"]["code"] == -32602


async def test_rent(client: Client, still: Simulator) -> None:
    async with AsyncClient(still.http_url) as connection:
        assert (await connection.get_minimum_balance_for_rent_exemption(165)).value == 2_039_280
        assert (await connection.get_minimum_balance_for_rent_exemption(0)).value == 890_880
    for bad in (-1, "165", 1.5, True, None):
        assert (await client.call("getMinimumBalanceForRentExemption", bad))["error"]["code"] == -32602


async def test_what_a_message_costs(client: Client, still: Simulator) -> None:
    payer, other = Keypair(), Keypair()
    pay = transfer(TransferParams(from_pubkey=payer.pubkey(), to_pubkey=other.pubkey(), lamports=1))
    both = transfer(TransferParams(from_pubkey=other.pubkey(), to_pubkey=payer.pubkey(), lamports=1))
    async with AsyncClient(still.http_url) as connection:
        blockhash = (await connection.get_latest_blockhash(Confirmed)).value.blockhash

        async def fee(*instructions: Any) -> int | None:
            message = Message.new_with_blockhash(list(instructions), payer.pubkey(), blockhash)
            return (await connection.get_fee_for_message(message, Confirmed)).value

        assert await fee(pay) == 5_000
        assert await fee(pay, both) == 10_000, "two signatures"
        assert await fee(set_compute_unit_limit(1_000), set_compute_unit_price(1_500_001), pay) == 5_000 + 1_501
        assert await fee(set_compute_unit_price(1_000_000), pay) == 5_000 + 200_000
        versioned = MessageV0.try_compile(payer.pubkey(), [pay], [], blockhash)
        assert (await connection.get_fee_for_message(versioned, Confirmed)).value == 5_000
        old = Message.new_with_blockhash([pay], payer.pubkey(), Hash.default())
        assert (await connection.get_fee_for_message(old, Confirmed)).value is None
    for bad in ("not base64!", base64.b64encode(b"\xff\xff").decode(), "A" * 2_000, 7, None):
        assert (await client.call("getFeeForMessage", bad))["error"]["code"] == -32602


async def test_priority_fees_are_of_the_latest_blocks(client: Client, still: Simulator) -> None:
    market = str(still.cluster.perp("SOL-PERP").pubkey)
    for params in ([], [[market]], [None]):
        told = await client.result("getRecentPrioritizationFees", *params)
        slots = [entry["slot"] for entry in told]
        assert slots == list(range(slots[-1] - 149, slots[-1] + 1))
        assert slots[-1] <= still.slot
        assert {entry["prioritizationFee"] for entry in told} == {0}, "the keepers offer none"
    too_many = await client.call("getRecentPrioritizationFees", [market] * 129)
    assert "max 128" in too_many["error"]["message"]
    assert (await client.call("getRecentPrioritizationFees", ["x"]))["error"]["code"] == -32602


@pytest.mark.parametrize(
    ("method", "params"),
    [
        ("getSignatureStatuses", []),
        ("getSignatureStatuses", [NOBODY]),
        ("getSignatureStatuses", [["x"]]),
        ("getSignatureStatuses", [[NOBODY] * 257]),
        ("getSignatureStatuses", [[NOBODY], {"searchTransactionHistory": 1}]),
        ("getTransaction", ["abc"]),
        ("getTransaction", [NOBODY, "morse"]),
        ("getTransaction", [NOBODY, {"commitment": "soon"}]),
        ("getBlockTime", []),
        ("getBlockTime", ["7"]),
        ("getSignaturesForAddress", [str(Pubkey.default()), {"commitment": "processed"}]),
    ],
)
async def test_bad_parameters_are_refused(client: Client, method: str, params: list[Any]) -> None:
    assert (await client.call(method, *params))["error"]["code"] == -32602
