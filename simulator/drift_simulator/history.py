"""The JSON-RPC methods about what happened: transactions, blocks, fees."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import orjson
from solders.hash import Hash, ParseHashError
from solders.signature import Signature

from .blocks import BLOCKHASH_SLOTS, ROOT_DEPTH, SLOTS_PER_EPOCH, block_height, blockhash_of, confirmation_of
from .blocks import is_blockhash_valid as is_valid
from .errors import RpcError, invalid_param, invalid_params
from .fees import fee_of, read_message
from .ledger import rent
from .node import Node
from .params import Params, address_param, commitment_in, number_param, options_param
from .transactions import ENCODINGS, ChainTransaction, transaction_json

__all__ = ["HistoryMethods", "signature_param"]

_MAX_SIGNATURES: Final = 1_000
_MAX_STATUSES: Final = 256
_MAX_FEE_ADDRESSES: Final = 128
_GENESIS_TIME: Final = 1_584_368_940

At = Callable[[dict[str, Any]], int]
InContext = Callable[[int, bytes], bytes]


class HistoryMethods:
    """Answers calls about transactions, blocks and fees.

    Args:
        node: The node that is asked.
        at: Checks ``minContextSlot`` of a call's options and returns the slot.
        in_context: Puts a value into its envelope.
    """

    def __init__(self, node: Node, *, at: At, in_context: InContext) -> None:
        self._node = node
        self._at = at
        self._in_context = in_context

    def methods(self) -> dict[str, Callable[[Params], Any]]:
        """Return the methods by name."""
        return {
            "getBlockHeight": lambda params: block_height(self._at(options_param(params, 0))),
            "getBlockTime": self._get_block_time,
            "getEpochInfo": self._get_epoch_info,
            "getFeeForMessage": self._get_fee_for_message,
            "getLatestBlockhash": self._get_latest_blockhash,
            "getMinimumBalanceForRentExemption": lambda params: rent(number_param(params)),
            "getRecentPrioritizationFees": self._get_recent_prioritization_fees,
            "getSignatureStatuses": self._get_signature_statuses,
            "getSignaturesForAddress": self._get_signatures,
            "getTransaction": self._get_transaction,
            "isBlockhashValid": self._is_blockhash_valid,
        }

    def _get_block_time(self, params: Params) -> int:
        slot, blocks = number_param(params), self._node.cluster.blocks
        if slot == 0:
            return _GENESIS_TIME
        if slot > self._node.slot:
            raise RpcError(-32004, f"Block not available for slot {slot}")
        if blocks.first is None or slot < blocks.first:
            first = self._node.slot if blocks.first is None else blocks.first
            cleaned_up = f"Block {slot} cleaned up, does not exist on node. First available block: {first}"
            raise RpcError(-32001, cleaned_up)
        made_at = blocks.at(slot)
        if made_at is None:
            skipped = f"Slot {slot} was skipped, or missing due to ledger jump to recent snapshot"
            raise RpcError(-32007, skipped)
        return made_at

    def _get_epoch_info(self, params: Params) -> dict[str, int]:
        slot = self._at(options_param(params, 0))
        epoch, index = divmod(slot, SLOTS_PER_EPOCH)
        return {
            "absoluteSlot": slot,
            "blockHeight": block_height(slot),
            "epoch": epoch,
            "slotIndex": index,
            "slotsInEpoch": SLOTS_PER_EPOCH,
            "transactionCount": self._node.cluster.transactions.landed,
        }

    def _get_latest_blockhash(self, params: Params) -> bytes:
        slot = self._at(options_param(params, 0))
        value = {"blockhash": blockhash_of(slot), "lastValidBlockHeight": block_height(slot) + BLOCKHASH_SLOTS}
        return self._in_context(slot, orjson.dumps(value))

    def _is_blockhash_valid(self, params: Params) -> bytes:
        if not params or not isinstance(params[0], str):
            raise invalid_params("invalid type, expected a string")
        try:
            blockhash = str(Hash.from_string(params[0]))
        except (ParseHashError, ValueError) as error:
            raise RpcError(-32602, _why(params[0])) from error
        slot = self._at(options_param(params))
        return self._in_context(slot, orjson.dumps(is_valid(blockhash, slot)))

    def _get_fee_for_message(self, params: Params) -> bytes:
        message = read_message(params[0] if params else None)
        slot = self._at(options_param(params))
        return self._in_context(slot, orjson.dumps(fee_of(message, slot)))

    def _get_recent_prioritization_fees(self, params: Params) -> list[dict[str, int]]:
        addresses = (params[0] if params else None) or []
        if not isinstance(addresses, list):
            raise invalid_params("invalid type, expected a sequence")
        if len(addresses) > _MAX_FEE_ADDRESSES:
            raise RpcError(-32602, f"Too many inputs provided; max {_MAX_FEE_ADDRESSES}")
        for entry in addresses:
            address_param([entry])
        newest = self._node.slot
        slots = range(newest - BLOCKHASH_SLOTS + 1, newest + 1)
        # A block's fee is the lowest that got in, and the keepers' transactions offer none.
        return [{"prioritizationFee": 0, "slot": slot} for slot in slots]

    def _get_signature_statuses(self, params: Params) -> bytes:
        signatures, options = (params[0] if params else None), options_param(params)
        if not isinstance(signatures, list):
            raise invalid_params("invalid type, expected a sequence")
        if len(signatures) > _MAX_STATUSES:
            raise RpcError(-32602, f"Too many inputs provided; max {_MAX_STATUSES}")
        if not isinstance(options.get("searchTransactionHistory", False), bool):
            raise invalid_params("invalid type, expected a boolean")
        named = [signature_param([entry]) for entry in signatures]
        slot = self._node.slot
        statuses = [self._status(entry, slot) for entry in map(self._node.cluster.transactions.find, named)]
        return self._in_context(slot, orjson.dumps(statuses))

    def _status(self, entry: ChainTransaction | None, newest: int) -> dict[str, Any] | None:
        if entry is None:
            return None
        confirmations, status = confirmation_of(entry.slot, newest)
        return {
            "confirmationStatus": status,
            "confirmations": confirmations,
            "err": None,
            "slot": entry.slot,
            "status": {"Ok": None},
        }

    def _get_signatures(self, params: Params) -> list[dict[str, Any]]:
        address, options = address_param(params), options_param(params)
        limit = options.get("limit")
        limit = _MAX_SIGNATURES if limit is None else limit
        if not isinstance(limit, int) or not 1 <= limit <= _MAX_SIGNATURES:
            raise RpcError(-32602, f"Invalid limit; max {_MAX_SIGNATURES}")
        seen_to, newest = self._seen_to(options), self._node.slot
        found = self._node.cluster.transactions.mentioning(
            address, limit=limit, before=options.get("before"), until=options.get("until"), seen_to=seen_to
        )
        return [
            {
                "blockTime": entry.block_time,
                "confirmationStatus": confirmation_of(entry.slot, newest)[1],
                "err": None,
                "memo": None,
                "signature": entry.signature,
                "slot": entry.slot,
            }
            for entry in found
        ]

    def _get_transaction(self, params: Params) -> dict[str, Any] | None:
        signature = signature_param(params)
        options = params[1] if len(params) > 1 else None
        options = {"encoding": options} if isinstance(options, str) else options_param(params)
        encoding = options.get("encoding") or "json"
        if encoding not in ENCODINGS:
            expected = ", ".join(f"`{name}`" for name in ENCODINGS)
            raise invalid_params(f"unknown variant `{encoding}`, expected one of {expected}")
        seen_to, entry = self._seen_to(options), self._node.cluster.transactions.find(signature)
        if entry is None or entry.slot > seen_to:
            return None
        has_version = options.get("maxSupportedTransactionVersion") is not None
        return transaction_json(entry, encoding, with_version=has_version)

    def _seen_to(self, options: dict[str, Any]) -> int:
        """Return the newest slot whose transactions a call sees, by its commitment; ``finalized`` by default."""
        commitment = commitment_in(options)
        if commitment == "processed":
            raise RpcError(-32602, "Method does not support commitment below `confirmed`")
        return self._node.slot if commitment == "confirmed" else self._node.slot - ROOT_DEPTH


def signature_param(params: Params, position: int = 0) -> str:
    """Return a signature parameter.

    Raises:
        RpcError: It is absent or no signature.
    """
    value = params[position] if len(params) > position else None
    if not isinstance(value, str):
        raise invalid_params("invalid type, expected a string")
    try:
        return str(Signature.from_string(value))
    except ValueError as error:
        raise invalid_param(_why(value)) from error


def _why(text: str) -> str:
    """Return the reason why a text cannot be base58 of a given size, in a node's word."""
    return "WrongSize" if text.isalnum() and not set(text) & set("0OIl") else "Invalid"
