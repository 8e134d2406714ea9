"""What a message would cost: its signatures, and the priority that it asks for."""

from __future__ import annotations

import base64
import binascii
import struct
from typing import Final

from solders.message import Message, MessageV0, from_bytes_versioned
from solders.pubkey import Pubkey

from .blocks import is_blockhash_valid
from .errors import RpcError

__all__ = ["LAMPORTS_PER_SIGNATURE", "fee_of", "read_message"]

LAMPORTS_PER_SIGNATURE: Final = 5_000
_COMPUTE_BUDGET: Final = Pubkey.from_string("ComputeBudget111111111111111111111111111111")
_SET_LIMIT, _SET_PRICE = 2, 3
_UNITS_PER_INSTRUCTION: Final = 200_000
_MOST_UNITS: Final = 1_400_000
_MICRO: Final = 1_000_000
_MOST_BASE64: Final = 1_644
"""What a packet of 1,232 bytes takes at most."""


def read_message(text: object) -> Message | MessageV0:
    """Decode a message, base64.

    Raises:
        RpcError: It is not base64, too long, or no message.
    """
    if not isinstance(text, str):
        raise RpcError(-32602, "Invalid params: invalid type, expected a string.")
    if len(text) > _MOST_BASE64:
        detail = f"too large: {len(text)} bytes (max: encoded/raw {_MOST_BASE64}/1232)"
        raise RpcError(-32602, f"base64 encoded solana_message::versions::VersionedMessage {detail}")
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise RpcError(-32602, f"invalid base64 encoding: {error}") from error
    try:
        return from_bytes_versioned(raw)
    except ValueError as error:
        what = "solana_message::versions::VersionedMessage"
        raise RpcError(-32602, f"failed to deserialize {what}: {error}") from error


def fee_of(message: Message | MessageV0, slot: int) -> int | None:
    """Return lamports; ``None`` where the message's blockhash is too old, or of no block."""
    if not is_blockhash_valid(str(message.recent_blockhash), slot):
        return None
    limit: int | None = None
    price = others = 0
    for instruction in message.instructions:
        program, data = message.account_keys[instruction.program_id_index], bytes(instruction.data)
        if program != _COMPUTE_BUDGET:
            others += 1
        elif data[:1] == bytes([_SET_LIMIT]) and len(data) >= 5:
            (limit,) = struct.unpack_from("<I", data, 1)
        elif data[:1] == bytes([_SET_PRICE]) and len(data) >= 9:
            (price,) = struct.unpack_from("<Q", data, 1)
    units = min(_UNITS_PER_INSTRUCTION * others if limit is None else limit, _MOST_UNITS)
    priority = -(-price * units // _MICRO)
    return LAMPORTS_PER_SIGNATURE * message.header.num_required_signatures + priority
