"""A chain as a capture tells it: accounts, slots and their order are the recorded ones, and nothing moves by itself."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal

from solders.pubkey import Pubkey

from drift_schemas.capture import CapturedAccount, CapturedSlot, CaptureRecord

from .blocks import BlockTimes
from .ledger import Account, Ledger
from .programs import program_at
from .sysvars import clock_account, is_clock
from .transactions import TransactionLog

__all__ = ["CapturedChain", "CapturedMarket"]

_READ_BEHIND: Final = 40
"""A read says it is so many slots behind the newest slot told, at most: accounts of finalized commitment are told so
late, and a read that says it is newer than a notification yet to come would make that look old."""


@dataclass(frozen=True)
class CapturedMarket:
    """A market as its account describes it."""

    market_type: Literal["perp", "spot"]
    name: str
    index: int
    pubkey: Pubkey
    oracle: Pubkey
    oracle_source: str


class CapturedChain:
    """The world of a node that serves a capture; see :class:`~drift_simulator.world.World`.

    Attributes:
        ledger: Every account as last reported.
        transactions: None: a capture holds accounts.
        blocks: When each slot was told.
        slot: While a record is told, its own slot; else the one that reads carry.
        told_slot: The newest slot told to subscribers.
    """

    def __init__(self) -> None:
        self.ledger = Ledger()
        self.transactions = TransactionLog()
        self.blocks = BlockTimes()
        self.slot = 0
        self.told_slot = 0
        self._newest_account = 0

    @property
    def markets(self) -> list[CapturedMarket]:
        """All markets that the accounts describe, perp markets first."""
        return [*self._listed("perp"), *self._listed("spot")]

    def tell(self, record: CaptureRecord, on_slot: Callable[[], None], *, shift: int = 0) -> None:
        """Takes the next record in and lets the ledger's listeners, or ``on_slot``, know.

        A read is told like a notification where it brings news: whoever watches now has not read that moment.

        Args:
            record: What comes next.
            on_slot: Called while :attr:`slot` is a slot that was told.
            shift: Slots to add to the recorded ones.
        """
        self.slot = record.slot + shift
        if isinstance(record, CapturedSlot):
            self.told_slot = self.slot
            self.blocks.note(self.slot, record.received_ns // 1_000_000_000)
            on_slot()
        elif not record.was_read or self._is_news(record):
            self._write(record)
        if isinstance(record, CapturedAccount):
            self._newest_account = max(self._newest_account, record.slot + shift)
        self.slot = max(self._newest_account, self.told_slot - _READ_BEHIND)

    def sysvar(self, address: str) -> Account | None:
        """The Clock reads as of now, for that is when the node tells it; others are there where they were captured."""
        return clock_account(self.slot, int(time.time())) if is_clock(address) else None

    def _is_news(self, record: CapturedAccount) -> bool:
        known = self.ledger.get(record.address)
        if known is None:
            return record.data is not None
        return (known.owner, known.data) != (record.owner, record.data)

    def _write(self, record: CapturedAccount) -> None:
        pubkey = Pubkey.from_string(record.address)
        if record.data is None:
            self.ledger.close(pubkey, self.slot)
        else:
            self.ledger.put(pubkey, record.data, Pubkey.from_string(record.owner), self.slot)

    def _listed(self, market_type: Literal["perp", "spot"]) -> list[CapturedMarket]:
        kind = "PerpMarket" if market_type == "perp" else "SpotMarket"
        listed = []
        for address, account in self.ledger.items():
            program = program_at(account.owner)
            layout = None if program is None else program.idl.account(kind)
            if layout is None or bytes(account.data[:8]) != layout.discriminator or len(account.data) < layout.size:
                continue
            record = layout.record(bytes(account.data))
            sources = {number: name for name, number in layout.variants("OracleSource").items()}
            listed.append(
                CapturedMarket(
                    market_type,
                    record.raw("name").decode("utf-8", "replace").rstrip(" \0"),
                    record["market_index"],
                    Pubkey.from_string(address),
                    Pubkey.from_bytes(record.raw("oracle")),
                    sources.get(record["oracle_source"], "Unknown"),
                )
            )
        return sorted(listed, key=lambda market: market.index)
