"""What came of a reconciliation: what to warn of, and all of it as JSON."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from drift_bus.reconcile.bus_side import BusMarkets, Origin
from drift_bus.reconcile.comparison import Comparison, Reconciliation
from drift_bus.reconcile.figures import UNITS, Field, FundingBasis
from drift_bus.reconcile.hosted import Answer
from drift_bus.reconcile.numbers import exact
from drift_bus.reconcile.summary import FieldSummary, summaries
from drift_schemas import Kind

__all__ = ["Report"]

_KINDS: Final[dict[Field, Kind]] = {
    "funding_long": "funding",
    "funding_short": "funding",
    "open_interest_long": "market",
    "open_interest_short": "market",
    "oracle_price": "price",
    "mark_price": "price",
}


@dataclass(frozen=True, slots=True)
class Report:
    """What was read, and what came of it.

    Attributes:
        answer: Of the hosted API.
        bus: What was on the bus.
        result: Both beside each other.
        basis: Which funding of the bus was compared.
        prefix: Of the bus.
    """

    answer: Answer
    bus: BusMarkets
    result: Reconciliation
    basis: FundingBasis
    prefix: str

    def warnings(self) -> Iterator[str]:
        """What a reader must know beside the verdicts, a line each."""
        if self.bus.is_simulated:
            yield (
                "the bus carries SIMULATED data: to agree with a real API, or to differ from it, says nothing about it"
            )
        if len(self.bus.programs) > 1 or len(self.bus.clusters) > 1:
            yield f"the bus mixes {', '.join([*self.bus.programs, *self.bus.clusters])} under the prefix {self.prefix}"
        for names, where in ((self.result.only_on_bus, "the bus"), (self.result.only_hosted, "the hosted API")):
            if names:
                yield f"only on {where}: {', '.join(names)}"
        for market in self.result.markets:
            if market.index_differs:
                yield f"{market.bus.market}: market index {market.bus.index} on the bus, {market.hosted.index} hosted"
            ours, theirs = market.bus.funding_settled_ts, market.hosted.funding_settled_ts
            if ours is not None and theirs is not None and ours != theirs:
                newer = "on the bus" if ours > theirs else "hosted"
                yield f"{market.bus.market}: the last funding settlement is {abs(ours - theirs)} s newer {newer}"
        if any(one.verdict == "differs" for one in self.result.of("mark_price")):
            yield "the hosted mark price is the mid of the order book where there is one, on the bus it is the vAMM's"
        compared = {market.bus.market for market in self.result.markets}
        of_text: dict[str, list[str]] = {}
        for name, text in self.answer.hosted.remarks:
            if name in compared:
                of_text.setdefault(text, []).append(name)
        yield from (f"{text}: {', '.join(names)}" for text, names in of_text.items())
        if not self.result.has_compared:
            yield "nothing could be compared: no figure is there on both sides"

    def as_json(self) -> dict[str, Any]:
        """Everything, decimals as strings."""
        return {
            "verdict": "agrees" if self.result.agrees else "differs",
            "against": self.answer.where,
            "received_at_ns": self.answer.received_at_ns,
            "took_s": round(self.answer.took_s, 3),
            "prefix": self.prefix,
            "programs": self.bus.programs,
            "clusters": self.bus.clusters,
            "simulated": self.bus.is_simulated,
            "funding_basis": self.basis,
            "only_on_bus": list(self.result.only_on_bus),
            "only_hosted": list(self.result.only_hosted),
            "fields": [_field_as_json(summary) for summary in summaries(self.result)],
            "markets": [
                {
                    "market": market.bus.market,
                    "market_index": {"bus": market.bus.index, "hosted": market.hosted.index},
                    "funding_settled_ts": {
                        "bus": market.bus.funding_settled_ts,
                        "hosted": market.hosted.funding_settled_ts,
                    },
                    "fields": [self._comparison_as_json(one) for one in market.fields],
                }
                for market in self.result.markets
            ],
            "warnings": list(self.warnings()),
        }

    def origin(self, one: Comparison) -> Origin | None:
        """The event of the bus behind a figure."""
        return self.bus.origins.get(one.market, {}).get(_KINDS[one.field])

    def _comparison_as_json(self, one: Comparison) -> dict[str, Any]:
        origin = self.origin(one)
        return {
            "field": one.field,
            "unit": UNITS[one.field],
            "bus": exact(one.bus),
            "hosted": exact(one.hosted),
            "difference": exact(one.difference),
            "relative_bps": exact(one.relative_bps),
            "verdict": one.verdict,
            "absent_on": one.absent_on,
            "slot": origin and origin.slot,
            "age_s": origin and origin.age_s,
        }


def _field_as_json(summary: FieldSummary) -> dict[str, Any]:
    worst = summary.worst
    return {
        "field": summary.field,
        "compared": summary.compared,
        "differing": summary.differing,
        "absent": summary.absent,
        "largest_difference": worst and exact(worst.difference),
        "largest_relative_bps": worst and exact(worst.relative_bps),
        "largest_market": worst and worst.market,
        "tolerance": worst and exact(worst.limit),
        "tolerance_unit": worst and ("bps" if worst.is_relative else UNITS[summary.field]),
        "verdict": summary.verdict.replace(" ", "_"),
    }
