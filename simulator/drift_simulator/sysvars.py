"""The Clock sysvar: where a client reads the chain's own time and slot."""

from __future__ import annotations

import struct
from typing import Final

from .ledger import Account, rent

__all__ = ["CLOCK", "clock_account", "is_clock"]

CLOCK: Final = "SysvarC1ock11111111111111111111111111111111"
_OWNER: Final = "Sysvar1111111111111111111111111111111111111"
_SLOTS_PER_EPOCH: Final = 432_000
_SECONDS_PER_SLOT: Final = 0.4


def is_clock(address: str) -> bool:
    """Whether an address is that of the Clock."""
    return address == CLOCK


def clock_account(slot: int, now: int) -> Account:
    """Return the Clock as it reads at a slot and a Unix time in seconds; epochs are as long as on mainnet."""
    epoch, slots_in = divmod(slot, _SLOTS_PER_EPOCH)
    began = now - int(slots_in * _SECONDS_PER_SLOT)
    data = struct.pack("<QqQQq", slot, began, epoch, epoch + 1, now)
    return Account(_OWNER, data, rent(len(data)), slot)
