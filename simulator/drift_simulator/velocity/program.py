"""Velocity v1 as the simulation plays it."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Mapping, Sequence
from typing import Final

from solders.pubkey import Pubkey

from drift_simulator.addresses import VELOCITY_PROGRAM
from drift_simulator.config import SimulatorConfig
from drift_simulator.layout import Idl, Record, Value, velocity_idl
from drift_simulator.listings import PerpListing, SpotListing
from drift_simulator.program import Program

from .markets import perp_listings, spot_listings
from .perps import VelocityPerpMarket
from .state import fill_state

__all__ = ["VelocityV1"]


_BEYOND_REAL_FEEDS: Final = 2**31


class VelocityV1(Program):
    """Velocity v1. Its State, markets and Lazer oracles are simulated, its users are not."""

    name = "velocity-v1"
    title = "Velocity"
    program_id = VELOCITY_PROGRAM
    account_types = ("PerpMarket", "SpotMarket", "State")
    oracle_sources = frozenset(
        {
            "Pyth", "Pyth1K", "Pyth1M", "PythStableCoin", "PythLazer", "PythLazer1K", "PythLazer1M",
            "PythLazerStableCoin", "Prelaunch",
        }
    )  # fmt: skip
    _state_seed = b"velocity_state"
    _signer_seed = b"velocity_signer"
    _cuts = (
        ("insurance_fund.if_fee_factor", "revenue_pool"),
        ("protocol_fee_factor", "protocol_fee_pool"),
    )
    _least_confidence = 500

    @property
    def idl(self) -> Idl:
        """Its types."""
        return velocity_idl()

    def perp_listings(self, count: int | None) -> Sequence[PerpListing]:
        """Return real markets first, then synthetic ones; by default the real ones."""
        return perp_listings(count, self.lazer_oracle_address)

    def spot_listings(self, count: int | None) -> Sequence[SpotListing]:
        """Return real markets first, then synthetic ones; by default the real ones."""
        return spot_listings(count, self.lazer_oracle_address)

    def oracle_address(self, purpose: str) -> Pubkey:
        """Return the account of a Lazer feed of a number that no real one has."""
        number = int.from_bytes(hashlib.sha256(purpose.encode()).digest()[:4], "little")
        return self.lazer_oracle_address(number | _BEYOND_REAL_FEEDS)

    def perp_market(self, listing: PerpListing, config: SimulatorConfig, rng: random.Random) -> VelocityPerpMarket:
        """Return a perp market that has not started yet."""
        return VelocityPerpMarket(
            listing,
            self.perp_market_address(listing.index),
            self.idl.account("PerpMarket"),
            funding_period_s=config.funding_period_s,
            slot_interval_s=config.slot_interval_s,
            rng=rng,
        )

    def spot_fields(self, index: int) -> Mapping[str, Value]:
        """Return the insurance fund's share and the protocol's, and whose fee pool it is."""
        return {
            "insurance_fund.if_fee_factor": 100_000,
            "protocol_fee_factor": 50_000,
            "protocol_fee_pool.market_index": index,
        }

    def fill_state(self, state: Record, config: SimulatorConfig, *, perp_markets: int, spot_markets: int) -> None:
        """Fill the State account."""
        signer, nonce = self.signer
        fill_state(
            state,
            signer=signer,
            nonce=nonce,
            perp_markets=perp_markets,
            spot_markets=spot_markets,
            slot_interval_s=config.slot_interval_s,
        )
