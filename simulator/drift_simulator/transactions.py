"""Transactions: what a settlement leaves on the chain, with the program's own log lines."""

from __future__ import annotations

import base64
import hashlib
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from solders.hash import Hash
from solders.instruction import AccountMeta, Instruction
from solders.keypair import Keypair
from solders.message import Message
from solders.pubkey import Pubkey
from solders.transaction import Transaction

from .blocks import blockhash_of
from .encoding import base58_encode

__all__ = ["ENCODINGS", "ChainTransaction", "TransactionLog", "funding_transaction", "transaction_json"]

ENCODINGS: Final = ("binary", "base64", "base58", "json", "jsonParsed")

_KEEPER: Final = Keypair.from_seed(hashlib.sha256(b"drift-simulator:keeper").digest())
_UPDATE_FUNDING_RATE: Final = hashlib.sha256(b"global:update_funding_rate").digest()[:8]
_FEE: Final = 5_000
_KEPT: Final = 2_000


@dataclass(frozen=True)
class ChainTransaction:
    """One landed transaction.

    Args:
        signature: Base58 signature of its first signer.
        slot: Slot it landed in.
        block_time: Unix time in seconds.
        logs: The log lines of all programs it called.
        accounts: Addresses it mentions, base58.
        transaction: The signed transaction itself.
    """

    signature: str
    slot: int
    block_time: int
    logs: tuple[str, ...]
    accounts: tuple[str, ...]
    transaction: Transaction
    fee: int = _FEE


def funding_transaction(
    *,
    program: Pubkey,
    state: Pubkey,
    market: Pubkey,
    oracle: Pubkey,
    market_index: int,
    event: bytes,
    slot: int,
    block_time: int,
) -> ChainTransaction:
    """Return a keeper's ``updateFundingRate`` as it looks once landed."""
    accounts = [
        AccountMeta(state, is_signer=False, is_writable=False),
        AccountMeta(market, is_signer=False, is_writable=True),
        AccountMeta(oracle, is_signer=False, is_writable=False),
    ]
    data = _UPDATE_FUNDING_RATE + market_index.to_bytes(2, "little")
    instruction = Instruction(program, data, accounts)
    recent = Hash.from_string(blockhash_of(slot - 1))
    message = Message.new_with_blockhash([instruction], _KEEPER.pubkey(), recent)
    transaction = Transaction([_KEEPER], message, recent)
    units = 40_000 + hashlib.sha256(event).digest()[0] * 40
    return ChainTransaction(
        signature=str(transaction.signatures[0]),
        slot=slot,
        block_time=block_time,
        logs=(
            f"Program {program} invoke [1]",
            "Program log: Instruction: UpdateFundingRate",
            f"Program data: {base64.b64encode(event).decode()}",
            f"Program {program} consumed {units} of 200000 compute units",
            f"Program {program} success",
        ),
        accounts=tuple(str(key) for key in message.account_keys),
        transaction=transaction,
    )


class TransactionLog:
    """The latest transactions, newest last, with listeners for each new one.

    Attributes:
        landed: How many there have been.
    """

    def __init__(self) -> None:
        self.landed = 0
        self._transactions: deque[ChainTransaction] = deque(maxlen=_KEPT)
        self._listeners: list[Callable[[ChainTransaction], None]] = []

    def __len__(self) -> int:
        return len(self._transactions)

    def listen(self, listener: Callable[[ChainTransaction], None]) -> None:
        """Call ``listener`` with every transaction that lands from now on."""
        self._listeners.append(listener)

    def land(self, transaction: ChainTransaction) -> None:
        """Add a transaction and tell the listeners."""
        self.landed += 1
        self._transactions.append(transaction)
        for listener in self._listeners:
            listener(transaction)

    def find(self, signature: str) -> ChainTransaction | None:
        """Return a kept transaction by signature."""
        return next((entry for entry in reversed(self._transactions) if entry.signature == signature), None)

    def mentioning(
        self,
        address: str,
        *,
        limit: int = 1_000,
        before: str | None = None,
        until: str | None = None,
        seen_to: int | None = None,
    ) -> list[ChainTransaction]:
        """Return transactions that mention an address, newest first.

        Args:
            address: Base58 address.
            limit: At most so many.
            before: Start after this signature.
            until: Stop at this signature.
            seen_to: Only those up to this slot.
        """
        found: list[ChainTransaction] = []
        started = before is None
        for entry in reversed(self._transactions):
            if entry.signature == until or len(found) >= limit:
                break
            if started and address in entry.accounts and (seen_to is None or entry.slot <= seen_to):
                found.append(entry)
            started = started or entry.signature == before
        return found


def transaction_json(entry: ChainTransaction, encoding: str, *, with_version: bool) -> dict[str, Any]:
    """Write a transaction as ``getTransaction`` answers it.

    Args:
        entry: The transaction.
        encoding: One of :data:`ENCODINGS`.
        with_version: Whether the client said that it knows of versions.
    """
    raw = bytes(entry.transaction)
    if encoding == "base64":
        transaction: Any = [base64.b64encode(raw).decode(), "base64"]
    elif encoding == "base58":
        transaction = [base58_encode(raw), "base58"]
    elif encoding == "binary":
        transaction = base58_encode(raw)
    elif encoding == "jsonParsed":
        transaction = _parsed(entry)
    else:
        transaction = _readable(entry)
    balances = [10**9] * len(entry.accounts)
    return {
        "blockTime": entry.block_time,
        "meta": {
            "computeUnitsConsumed": int(entry.logs[3].split()[3]),
            "err": None,
            "fee": entry.fee,
            "innerInstructions": [],
            "loadedAddresses": {"readonly": [], "writable": []},
            "logMessages": list(entry.logs),
            "postBalances": [balances[0] - entry.fee, *balances[1:]],
            "postTokenBalances": [],
            "preBalances": balances,
            "preTokenBalances": [],
            "rewards": [],
            "status": {"Ok": None},
        },
        "slot": entry.slot,
        "transaction": transaction,
        **({"version": "legacy"} if with_version else {}),
    }


def _readable(entry: ChainTransaction) -> dict[str, Any]:
    message = entry.transaction.message
    header = message.header
    return {
        "message": {
            "accountKeys": list(entry.accounts),
            "header": {
                "numReadonlySignedAccounts": header.num_readonly_signed_accounts,
                "numReadonlyUnsignedAccounts": header.num_readonly_unsigned_accounts,
                "numRequiredSignatures": header.num_required_signatures,
            },
            "instructions": [
                {
                    "accounts": list(instruction.accounts),
                    "data": base58_encode(instruction.data),
                    "programIdIndex": instruction.program_id_index,
                    "stackHeight": None,
                }
                for instruction in message.instructions
            ],
            "recentBlockhash": str(message.recent_blockhash),
        },
        "signatures": [str(signature) for signature in entry.transaction.signatures],
    }


def _parsed(entry: ChainTransaction) -> dict[str, Any]:
    """Write accounts with their parts in it, and instructions as of a program that the node cannot parse further."""
    message = entry.transaction.message
    keys = [str(key) for key in message.account_keys]
    return {
        "message": {
            "accountKeys": [
                {
                    "pubkey": key,
                    "signer": message.is_signer(index),
                    "source": "transaction",
                    "writable": _is_writable(message, index),
                }
                for index, key in enumerate(keys)
            ],
            "instructions": [
                {
                    "accounts": [keys[index] for index in instruction.accounts],
                    "data": base58_encode(instruction.data),
                    "programId": keys[instruction.program_id_index],
                    "stackHeight": None,
                }
                for instruction in message.instructions
            ],
            "recentBlockhash": str(message.recent_blockhash),
        },
        "signatures": [str(signature) for signature in entry.transaction.signatures],
    }


def _is_writable(message: Message, index: int) -> bool:
    """Signers come first, and of signers and of others those that are written to."""
    header, signers = message.header, message.header.num_required_signatures
    if index < signers:
        return index < signers - header.num_readonly_signed_accounts
    return index < len(message.account_keys) - header.num_readonly_unsigned_accounts
