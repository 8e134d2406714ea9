"""What a node needs of the chain that it serves: accounts, slot, transactions, markets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Protocol

from solders.pubkey import Pubkey

from .blocks import BlockTimes
from .ledger import Account, Ledger
from .transactions import TransactionLog

__all__ = ["MarketListing", "World"]


class MarketListing(Protocol):
    """A market, as far as one needs to list it."""

    @property
    def market_type(self) -> Literal["perp", "spot"]:
        """Perp or spot."""

    @property
    def name(self) -> str:
        """Its name, as on chain."""

    @property
    def index(self) -> int:
        """Its number among the markets of its type."""

    @property
    def pubkey(self) -> Pubkey:
        """Its account."""

    @property
    def oracle(self) -> Pubkey:
        """Its oracle's account."""

    @property
    def oracle_source(self) -> str:
        """How its oracle is read; a variant of OracleSource."""


class World(Protocol):
    """The chain behind a node: the living :class:`~drift_simulator.Cluster`, or a capture."""

    @property
    def ledger(self) -> Ledger:
        """All accounts."""

    @property
    def transactions(self) -> TransactionLog:
        """What landed."""

    @property
    def blocks(self) -> BlockTimes:
        """When the blocks were made."""

    @property
    def slot(self) -> int:
        """The slot of what is being told or read."""

    @property
    def markets(self) -> Sequence[MarketListing]:
        """All markets, perp markets first."""

    def sysvar(self, address: str) -> Account | None:
        """Return what the chain itself writes there, as it reads now; None where it writes nothing."""
