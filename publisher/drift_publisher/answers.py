"""What the results of JSON-RPC calls say. One of another form raises LookupError, TypeError or ValueError."""

from __future__ import annotations

import base64
import time
from collections.abc import Sequence
from typing import Any

from drift_publisher.source import AccountUpdate

__all__ = ["accounts_in", "genesis_in", "program_accounts_in", "slot_in"]


def slot_in(result: Any) -> int:
    """The slot that ``getSlot`` gives."""
    if not isinstance(result, int):
        raise TypeError("a slot is a number")
    return result


def genesis_in(result: Any) -> str:
    """The hash that ``getGenesisHash`` gives."""
    if not isinstance(result, str) or not result:
        raise TypeError("a genesis hash is a text")
    return result


def accounts_in(addresses: Sequence[str], result: Any) -> list[AccountUpdate]:
    """The accounts that ``getMultipleAccounts`` gives, in the order in which they were asked for."""
    slot, now = int(result["context"]["slot"]), time.time_ns()
    pairs = zip(addresses, result["value"], strict=True)
    return [_update(address, slot, value, now) for address, value in pairs]


def program_accounts_in(result: Any) -> list[AccountUpdate]:
    """The accounts that ``getProgramAccounts`` gives, asked for with their context."""
    slot, now = int(result["context"]["slot"]), time.time_ns()
    return [_update(str(item["pubkey"]), slot, item["account"], now) for item in result["value"]]


def _update(address: str, slot: int, value: dict[str, Any] | None, now: int) -> AccountUpdate:
    if value is None:
        return AccountUpdate(address, "", slot, None, now, was_read=True)
    data = base64.b64decode(value["data"][0])
    return AccountUpdate(address, str(value["owner"]), slot, data, now, was_read=True)
