"""Blocks, as far as clients ask about them: their times, hashes and heights, and how settled each one is."""

from __future__ import annotations

import hashlib
from typing import Final, Literal

from solders.hash import Hash

__all__ = [
    "BLOCKHASH_SLOTS",
    "ROOT_DEPTH",
    "SLOTS_PER_EPOCH",
    "BlockTimes",
    "block_height",
    "blockhash_of",
    "confirmation_of",
    "is_blockhash_valid",
]

SLOTS_PER_EPOCH: Final = 432_000
ROOT_DEPTH: Final = 32
"""A block of so many slots ago is finalized."""
BLOCKHASH_SLOTS: Final = 150
"""A transaction may name the hash of a block of at most so many slots ago."""
_SKIPPED_BLOCKS: Final = 22_000_000
_KEPT: Final = 50_000


class BlockTimes:
    """When each of the latest blocks was made; slots that were skipped have none.

    Attributes:
        first: The oldest slot that is still known; ``None`` before the first block.
    """

    def __init__(self) -> None:
        self.first: int | None = None
        self._times: dict[int, int] = {}

    def note(self, slot: int, time_s: int) -> None:
        """A block was made at a slot, at a Unix time in seconds."""
        self._times[slot] = time_s
        if len(self._times) > _KEPT:
            del self._times[next(iter(self._times))]
        self.first = next(iter(self._times))

    def at(self, slot: int) -> int | None:
        """Return when a slot's block was made, Unix seconds; ``None`` where there is none."""
        return self._times.get(slot)


def block_height(slot: int) -> int:
    """Return how many blocks came before that of a slot; some slots of the chain's history have none."""
    return slot - _SKIPPED_BLOCKS


def blockhash_of(slot: int) -> str:
    """Return the blockhash of a slot."""
    return str(Hash(hashlib.sha256(f"drift-simulator:block:{slot}".encode()).digest()))


def is_blockhash_valid(blockhash: str, slot: int) -> bool:
    """Whether a transaction that lands after a slot may name this blockhash."""
    return any(blockhash == blockhash_of(slot - age) for age in range(BLOCKHASH_SLOTS + 1))


def confirmation_of(slot: int, newest: int) -> tuple[int | None, Literal["confirmed", "finalized"]]:
    """Return the confirmations of a block, ``None`` once it is finalized, and its status.

    The cluster votes at once: what is in a block is confirmed.
    """
    behind = newest - slot
    return (None, "finalized") if behind >= ROOT_DEPTH else (max(behind, 0), "confirmed")
