"""Drift v2 as the simulation plays it."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence

from solders.pubkey import Pubkey

from drift_simulator.addresses import DRIFT_PROGRAM, synthetic_address
from drift_simulator.config import SimulatorConfig
from drift_simulator.layout import Idl, Record, Value, drift_idl
from drift_simulator.listings import PerpListing, SpotListing
from drift_simulator.program import Program

from .markets import perp_listings, spot_listings
from .perps import DriftPerpMarket
from .state import fill_state
from .users import new_user, new_user_stats

__all__ = ["DriftV2"]


class DriftV2(Program):
    """Drift v2, its types and tables as driftpy ships them."""

    name = "drift-v2"
    title = "Drift"
    program_id = DRIFT_PROGRAM
    account_types = ("PerpMarket", "SpotMarket", "State", "User", "UserStats")
    oracle_sources = frozenset(
        {
            "Pyth", "Pyth1K", "Pyth1M", "PythStableCoin", "PythPull", "Pyth1KPull", "Pyth1MPull", "PythStableCoinPull",
            "PythLazer", "PythLazer1K", "PythLazer1M", "PythLazerStableCoin", "Prelaunch", "SwitchboardOnDemand",
        }
    )  # fmt: skip
    _state_seed = b"drift_state"
    _signer_seed = b"drift_signer"
    _cuts = (("insurance_fund.total_factor", "revenue_pool"),)

    @property
    def idl(self) -> Idl:
        """Its types."""
        return drift_idl()

    def perp_listings(self, count: int | None) -> Sequence[PerpListing]:
        """Return real markets first, then synthetic ones; by default a selection of real ones."""
        return perp_listings(count)

    def spot_listings(self, count: int | None) -> Sequence[SpotListing]:
        """Return real markets first, then synthetic ones; by default a selection of real ones."""
        return spot_listings(count)

    def oracle_address(self, purpose: str) -> Pubkey:
        """Return an invented address."""
        return synthetic_address(purpose)

    def perp_market(self, listing: PerpListing, config: SimulatorConfig, rng: random.Random) -> DriftPerpMarket:
        """Return a perp market that has not started yet."""
        return DriftPerpMarket(
            listing,
            self.perp_market_address(listing.index),
            self.idl.account("PerpMarket"),
            funding_period_s=config.funding_period_s,
            rng=rng,
        )

    def spot_fields(self, _index: int) -> Mapping[str, Value]:
        """Return the insurance fund's shares."""
        return {"insurance_fund.total_factor": 100_000, "insurance_fund.user_factor": 50_000}

    def fill_state(self, state: Record, _config: SimulatorConfig, *, perp_markets: int, spot_markets: int) -> None:
        """Fill the State account, as on mainnet but for the counts of markets."""
        signer, nonce = self.signer
        fill_state(state, signer=signer, nonce=nonce, perp_markets=perp_markets, spot_markets=spot_markets)

    def user_accounts(self, authority: Pubkey, slot: int, now: int) -> list[tuple[Pubkey, Record]]:
        """Return User (sub-account 0) and UserStats."""
        user = self.derive(b"user", bytes(authority), bytes(2))[0]
        stats = self.derive(b"user_stats", bytes(authority))[0]
        return [(user, new_user(authority, slot)), (stats, new_user_stats(authority, now))]
