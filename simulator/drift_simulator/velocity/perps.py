"""Velocity's perp markets: beside what all programs keep, cached spreads and a price of the market makers' own."""

from __future__ import annotations

import random
from collections.abc import Mapping
from math import ceil
from typing import Final

from solders.pubkey import Pubkey

from drift_simulator.arithmetic import PERCENTAGE, clamp, quotient
from drift_simulator.funding import FundingSettlement
from drift_simulator.layout import Layout, Record, Value
from drift_simulator.listings import PerpListing
from drift_simulator.oracles import OraclePrice
from drift_simulator.perps import PerpMarket

from .funding import CLAMP_THRESHOLD_BPS, RAMP_SLOPE, funding_rate, reseed_after_s, settle_funding

__all__ = ["VelocityPerpMarket"]

_MM_GAP_S: Final = 0.8
_MM_STEP: Final = 100
_MM_CHANCE: Final = 0.7
_MM_SIGMA: Final = 2e-5
_MOST_OFFSET: Final = 1_000


class VelocityPerpMarket(PerpMarket):
    """A perp market that settles by Velocity's rule.

    Two things are the simulator's own. The reference price offset is half the hour's premium, at most 0.1 %, without
    the program's model of inventory. The market makers post about seven in ten times that the market follows its
    oracle, near its price, within the program's limits: 0.8 seconds apart and at most 1 % a step.

    Args:
        listing: As of :class:`PerpMarket`.
        pubkey: As of :class:`PerpMarket`.
        layout: As of :class:`PerpMarket`.
        funding_period_s: As of :class:`PerpMarket`.
        slot_interval_s: Seconds between slots.
        rng: As of :class:`PerpMarket`.
    """

    def __init__(
        self,
        listing: PerpListing,
        pubkey: Pubkey,
        layout: Layout,
        *,
        funding_period_s: int,
        slot_interval_s: float,
        rng: random.Random,
    ) -> None:
        super().__init__(listing, pubkey, layout, funding_period_s=funding_period_s, rng=rng)
        self._mm_gap_slots = ceil(_MM_GAP_S / slot_interval_s)

    def start(self, oracle: OraclePrice, now: int, slot: int) -> None:
        """Fill the account as of ``now``, as if it had traded for long."""
        super().start(oracle, now, slot)
        self._note_update(oracle, slot)
        self._post_mm_price(oracle.price, oracle, now, slot)

    def follow(self, oracle: OraclePrice, now: int, slot: int) -> None:
        """Let the market follow a move of its oracle, its caches and the market makers with it."""
        record = self.record
        record["last_reference_price_offset"] = record["reference_price_offset"]
        record["reference_price_offset"] = _reference_offset(record)
        super().follow(oracle, now, slot)
        self._note_update(oracle, slot)
        if slot - record["mm_oracle_slot"] >= self._mm_gap_slots and self._rng.random() < _MM_CHANCE:
            last = record["mm_oracle_price"]
            wanted = round(oracle.price * (1 + self._rng.gauss(0, _MM_SIGMA)))
            self._post_mm_price(clamp(wanted, last - last // _MM_STEP, last + last // _MM_STEP), oracle, now, slot)

    def funding_rate(self, mark_twap: int, oracle_twap: int) -> int:
        """Return the rate of one period, 1e-9 quote per base."""
        return funding_rate(
            mark_twap,
            oracle_twap,
            self.record["funding_period"],
            self.record["contract_tier"],
            clamp_threshold_bps=self.record["funding_clamp_threshold"],
            ramp_slope=self.record["funding_ramp_slope"],
        )

    def settle(self, oracle: OraclePrice, now: int) -> FundingSettlement:
        """Settle one funding period."""
        return settle_funding(self.record, oracle, now)

    @property
    def _reseed_after_s(self) -> int:
        return reseed_after_s(self.record["funding_period"])

    def _own_fields(self) -> Mapping[str, Value]:
        return {"funding_clamp_threshold": CLAMP_THRESHOLD_BPS, "funding_ramp_slope": RAMP_SLOPE}

    def _note_update(self, oracle: OraclePrice, slot: int) -> None:
        self.record["last_spread_update_slot"] = slot
        self.record["historical_oracle_data.last_oracle_conf"] = oracle.confidence

    def _post_mm_price(self, price: int, oracle: OraclePrice, now: int, slot: int) -> None:
        self.record.update(
            {
                "mm_oracle_price": max(1, price),
                "mm_oracle_slot": slot,
                "mm_oracle_sequence_id": oracle.sequence_id or now * 1_000_000,
            }
        )


def _reference_offset(market: Record) -> int:
    oracle_twap = max(1, market["historical_oracle_data.last_oracle_price_twap"])
    premium = quotient((market["last_mark_price_twap"] - oracle_twap) * PERCENTAGE, oracle_twap)
    return clamp(quotient(premium, 2), -_MOST_OFFSET, _MOST_OFFSET)
