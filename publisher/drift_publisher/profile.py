"""The form of a program profile: addresses, layouts, tables and constants of one on-chain program."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from solders.pubkey import Pubkey

from drift_publisher.accounts import PerpMarket, SpotMarket, State
from drift_publisher.layout import Layout
from drift_publisher.oracles import OracleFormat

__all__ = ["FundingConstants", "OracleLimits", "ProgramProfile"]


@dataclass(frozen=True, slots=True)
class FundingConstants:
    """The constants of the funding formula.

    Attributes:
        offset_denominator: The constant premium is oracle TWAP over this.
        max_divergence: Contract tier → the rate is capped at oracle TWAP over this.
        default_max_divergence: The same for a tier that is not in the table.
    """

    offset_denominator: int
    max_divergence: Mapping[str, int]
    default_max_divergence: int


@dataclass(frozen=True, slots=True)
class OracleLimits:
    """How much wider the confidence interval may be for riskier markets, by tier."""

    perp_confidence_multiplier: Mapping[str, int]
    spot_confidence_multiplier: Mapping[str, int]
    default_multiplier: int


@dataclass(frozen=True)
class ProgramProfile:
    """One on-chain program. A second program is a second profile, never a branch through the code.

    Attributes:
        name: What events say in ``program``.
        program_id: Address of the program, owner of its accounts.
        state_seed, perp_market_seed, spot_market_seed: Seeds of the program-derived addresses.
        oracle_formats: Oracle source → how its account is read.
        funding_paused_statuses: Market statuses in which funding does not settle.
        funding_paused_bit: Bit of a market's paused operations that stops funding.
        exchange_funding_paused_bit: Bit of the exchange status that stops funding everywhere.
        stable_coin_sources: Sources that may be three times as old for margin purposes.
        ageless_sources: Sources whose age the program itself ignores.
    """

    name: str
    program_id: str
    state_seed: bytes
    perp_market_seed: bytes
    spot_market_seed: bytes
    state: Layout[State]
    perp_market: Layout[PerpMarket]
    spot_market: Layout[SpotMarket]
    oracle_formats: Mapping[str, OracleFormat]
    funding: FundingConstants
    oracle_limits: OracleLimits
    funding_paused_statuses: frozenset[str]
    funding_paused_bit: int
    exchange_funding_paused_bit: int
    stable_coin_sources: frozenset[str]
    ageless_sources: frozenset[str]

    @property
    def state_address(self) -> str:
        """Address of the program's global account."""
        return self._derive(self.state_seed)

    def perp_market_address(self, index: int) -> str:
        """Address of the perp market with this index."""
        return self._derive(self.perp_market_seed, index.to_bytes(2, "little"))

    def spot_market_address(self, index: int) -> str:
        """Address of the spot market with this index."""
        return self._derive(self.spot_market_seed, index.to_bytes(2, "little"))

    def _derive(self, *seeds: bytes) -> str:
        return _program_address(self.program_id, seeds)


@lru_cache(maxsize=1024)
def _program_address(program_id: str, seeds: tuple[bytes, ...]) -> str:
    return str(Pubkey.find_program_address(list(seeds), Pubkey.from_string(program_id))[0])
