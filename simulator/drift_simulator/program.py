"""What a cluster asks of the program that it simulates: addresses, types, markets, State, users."""

from __future__ import annotations

import random
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import ClassVar

from solders.pubkey import Pubkey

from .config import SimulatorConfig, SimulatorError
from .layout import Idl, Record, Value
from .lending import Cut
from .listings import PerpListing, SpotListing
from .oracles import Oracle
from .perps import PerpMarket
from .spots import SpotAddresses, SpotMarket

__all__ = ["Program"]


class Program(ABC):
    """One on-chain program, as the simulation plays it.

    A cluster, its node and its feeds are the same for every program; what differs is here and in the two market
    classes that it makes.

    Attributes:
        name: What it is called in a configuration.
        title: What it is called in a sentence.
        program_id: Its address.
        account_types: The account types of its own that the simulation serves.
        oracle_sources: Variants of OracleSource under which it reads a price; QuoteAsset, which has no account, aside.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    program_id: ClassVar[Pubkey]
    account_types: ClassVar[tuple[str, ...]]
    oracle_sources: ClassVar[frozenset[str]]
    _state_seed: ClassVar[bytes]
    _signer_seed: ClassVar[bytes]
    _cuts: ClassVar[tuple[Cut, ...]]
    _least_confidence: ClassVar[int | None] = None

    @property
    @abstractmethod
    def idl(self) -> Idl:
        """Its types."""

    @abstractmethod
    def perp_listings(self, count: int | None) -> Sequence[PerpListing]:
        """Return the perp markets of a cluster: ``count`` of them, or those it has by default."""

    @abstractmethod
    def spot_listings(self, count: int | None) -> Sequence[SpotListing]:
        """Return the spot markets of a cluster: ``count`` of them, or those it has by default."""

    @abstractmethod
    def oracle_address(self, purpose: str) -> Pubkey:
        """Return the address of an oracle that is not in the tables, the same for the same purpose."""

    @abstractmethod
    def perp_market(self, listing: PerpListing, config: SimulatorConfig, rng: random.Random) -> PerpMarket:
        """Return a perp market that has not started yet."""

    @abstractmethod
    def spot_fields(self, index: int) -> Mapping[str, Value]:
        """Return what only this program's spot markets have."""

    @abstractmethod
    def fill_state(self, state: Record, config: SimulatorConfig, *, perp_markets: int, spot_markets: int) -> None:
        """Fill the State account of a cluster of so many markets."""

    def spot_market(self, listing: SpotListing, rng: random.Random) -> SpotMarket:
        """Return a spot market that has not started yet."""
        number = listing.index
        return SpotMarket(
            listing,
            SpotAddresses(
                self.spot_market_address(number), self.spot_vault_address(number), self.insurance_vault_address(number)
            ),
            self.idl.account("SpotMarket"),
            own_fields=self.spot_fields(number),
            cuts=self._cuts,
            rng=rng,
        )

    def user_accounts(self, _authority: Pubkey, _slot: int, _now: int) -> list[tuple[Pubkey, Record]]:
        """Return addresses and accounts of a user with a deposit and no position; none where users are not served."""
        return []

    @property
    def state_address(self) -> Pubkey:
        """The address of the State account."""
        return self.derive(self._state_seed)[0]

    @property
    def signer(self) -> tuple[Pubkey, int]:
        """The program's signer and its bump."""
        return self.derive(self._signer_seed)

    def perp_market_address(self, index: int) -> Pubkey:
        """Return the address of a perp market."""
        return self.derive(b"perp_market", _u16(index))[0]

    def spot_market_address(self, index: int) -> Pubkey:
        """Return the address of a spot market."""
        return self.derive(b"spot_market", _u16(index))[0]

    def spot_vault_address(self, index: int) -> Pubkey:
        """Return the token vault of a spot market."""
        return self.derive(b"spot_market_vault", _u16(index))[0]

    def insurance_vault_address(self, index: int) -> Pubkey:
        """Return the insurance-fund vault of a spot market."""
        return self.derive(b"insurance_fund_vault", _u16(index))[0]

    def prelaunch_oracle_address(self, perp_market_index: int) -> Pubkey:
        """Return the prelaunch oracle of a perp market."""
        return self.derive(b"prelaunch_oracle", _u16(perp_market_index))[0]

    def lazer_oracle_address(self, feed_id: int) -> Pubkey:
        """Return the account to which a Pyth Lazer feed is posted."""
        return self.derive(b"pyth_lazer", feed_id.to_bytes(4, "little"))[0]

    def derive(self, *seeds: bytes) -> tuple[Pubkey, int]:
        """Return a program-derived address and its bump."""
        return _derive(self.program_id, *seeds)

    def check_source(self, source: str) -> None:
        """Refuse a source under which the program reads no price.

        Raises:
            SimulatorError: It is one; the message lists those that the program reads.
        """
        if source not in self.oracle_sources:
            known = ", ".join(sorted(self.oracle_sources))
            raise SimulatorError(f"{self.name} reads no {source} oracle, only {known}")

    def oracle(self, pubkey: Pubkey, source: str, price: float, *, perp_market_index: int = 0) -> Oracle:
        """Return an oracle account that the program reads; arguments as of :class:`Oracle`."""
        return Oracle(
            pubkey,
            source,
            price,
            owner=self.program_id,
            idl=self.idl,
            perp_market_index=perp_market_index,
            least_confidence=self._least_confidence,
        )


@lru_cache(maxsize=4096)
def _derive(program: Pubkey, *seeds: bytes) -> tuple[Pubkey, int]:
    return Pubkey.find_program_address(list(seeds), program)


def _u16(number: int) -> bytes:
    return number.to_bytes(2, "little")
