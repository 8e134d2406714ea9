"""Drift's perp markets."""

from __future__ import annotations

from collections.abc import Mapping

from drift_simulator.layout import Value
from drift_simulator.oracles import OraclePrice
from drift_simulator.perps import PerpMarket

from .funding import DriftSettlement, funding_rate, settle_funding

__all__ = ["DriftPerpMarket"]


class DriftPerpMarket(PerpMarket):
    """A perp market that settles by Drift's rule."""

    def funding_rate(self, mark_twap: int, oracle_twap: int) -> int:
        """Return the rate of one period, 1e-9 quote per base."""
        return funding_rate(mark_twap, oracle_twap, self.record["funding_period"], self.record["contract_tier"])

    def settle(self, oracle: OraclePrice, now: int) -> DriftSettlement | None:
        """Settle one funding period; None when the AMM cannot afford it."""
        return settle_funding(self.record, oracle, now)

    def _own_fields(self) -> Mapping[str, Value]:
        return {"next_curve_record_id": self._rng.randint(500, 2_000)}
