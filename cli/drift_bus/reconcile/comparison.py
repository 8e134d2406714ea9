"""One figure of both sides beside each other: how far apart, and whether that is too far."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from decimal import Context, Decimal
from typing import Final, Literal

from drift_bus.reconcile.figures import FIELDS, Field, MarketFigures
from drift_schemas import indexed_name

__all__ = ["Comparison", "MarketComparison", "Reconciliation", "Side", "Tolerances", "Verdict", "compare"]

Verdict = Literal["agrees", "differs", "absent"]
Side = Literal["bus", "hosted", "both"]
# Wide enough that no difference of two bounded figures is ever rounded.
_EXACT: Final = Context(prec=120)
_BPS: Final = Decimal(10_000)


@dataclass(frozen=True, slots=True)
class Tolerances:
    """How far apart the sides may be.

    Attributes:
        price_bps: Oracle price, of the hosted one.
        mark_bps: Mark price, of the hosted one.
        open_interest_bps: Of the hosted one.
        funding: Percent per hour, absolute.
    """

    price_bps: Decimal
    mark_bps: Decimal
    open_interest_bps: Decimal
    funding: Decimal

    def of(self, field: Field) -> tuple[Decimal, bool]:
        """The limit of a field, and whether it is relative (bps) or absolute (the field's unit)."""
        if field in {"funding_long", "funding_short"}:
            return self.funding, False
        if field == "oracle_price":
            return self.price_bps, True
        return (self.mark_bps, True) if field == "mark_price" else (self.open_interest_bps, True)


@dataclass(frozen=True, slots=True)
class Comparison:
    """One field of one market.

    Attributes:
        market: Its name.
        field: Which figure.
        bus: As the bus has it; ``None`` where it is absent.
        hosted: As the hosted API has it; ``None`` where it is absent.
        limit: The tolerance.
        is_relative: The tolerance is in basis points of the hosted figure, not in the field's unit.
    """

    market: str
    field: Field
    bus: Decimal | None
    hosted: Decimal | None
    limit: Decimal
    is_relative: bool

    @property
    def difference(self) -> Decimal | None:
        """Bus less hosted, in the field's unit, exact; ``None`` where one is absent."""
        return None if self.bus is None or self.hosted is None else _EXACT.subtract(self.bus, self.hosted)

    @property
    def relative_bps(self) -> Decimal | None:
        """The difference in basis points of the hosted figure; ``None`` where that is 0 or one is absent."""
        difference = self.difference
        if difference is None or not self.hosted:
            return None
        return _EXACT.divide(_EXACT.multiply(difference, _BPS), self.hosted.copy_abs())

    @property
    def verdict(self) -> Verdict:
        """Whether both are there, and within the tolerance."""
        difference = self.difference
        if difference is None or self.hosted is None:
            return "absent"
        if self.is_relative:
            apart, allowed = _EXACT.multiply(difference, _BPS), _EXACT.multiply(self.limit, self.hosted)
        else:
            apart, allowed = difference, self.limit
        return "agrees" if apart.copy_abs() <= allowed.copy_abs() else "differs"

    @property
    def absent_on(self) -> Side | None:
        """Which side lacks it."""
        if self.bus is None:
            return "both" if self.hosted is None else "bus"
        return "hosted" if self.hosted is None else None

    @property
    def is_wrong(self) -> bool:
        """It speaks against the bus: too far apart, or the bus lacks what the hosted API has."""
        return self.verdict == "differs" or self.absent_on == "bus"


@dataclass(frozen=True, slots=True)
class MarketComparison:
    """A market that both sides have."""

    bus: MarketFigures
    hosted: MarketFigures
    fields: tuple[Comparison, ...]

    @property
    def index_differs(self) -> bool:
        """The same name stands for two markets."""
        return self.hosted.index is not None and self.bus.index != self.hosted.index


@dataclass(frozen=True, slots=True)
class Reconciliation:
    """Everything compared.

    Attributes:
        markets: Those on both sides, by index.
        only_on_bus: Names of markets that the hosted API does not have.
        only_hosted: Names of markets that the bus does not have.
    """

    markets: tuple[MarketComparison, ...]
    only_on_bus: tuple[str, ...]
    only_hosted: tuple[str, ...]

    @property
    def comparisons(self) -> list[Comparison]:
        """All fields of all markets."""
        return [one for market in self.markets for one in market.fields]

    @property
    def has_compared(self) -> bool:
        """At least one figure was there on both sides; without that an agreement means nothing."""
        return any(one.verdict != "absent" for one in self.comparisons)

    @property
    def agrees(self) -> bool:
        """Something was compared, and nothing speaks against the bus."""
        return (
            self.has_compared
            and not (self.only_on_bus or self.only_hosted)
            and not any(market.index_differs for market in self.markets)
            and not any(one.is_wrong for one in self.comparisons)
        )

    def of(self, field: Field) -> list[Comparison]:
        """One field of all markets."""
        return [one for one in self.comparisons if one.field == field]


def compare(
    bus: Mapping[str, MarketFigures],
    hosted: Mapping[str, MarketFigures],
    tolerances: Tolerances,
    *,
    only: Collection[str] = (),
) -> Reconciliation:
    """Puts the markets of both sides beside each other, by name; where one name is two markets', by index too.

    Args:
        bus: By name.
        hosted: By name.
        tolerances: How far apart they may be.
        only: Names of the markets that matter; empty means all.
    """
    hosted = _as_on_bus(hosted, bus)
    ours = {name for name in bus if not only or name in only}
    theirs = {name for name in hosted if not only or name in only}
    both = sorted(ours & theirs, key=lambda name: (bus[name].index or 0, name))
    return Reconciliation(
        tuple(MarketComparison(bus[name], hosted[name], _fields(bus[name], hosted[name], tolerances)) for name in both),
        tuple(_by_index(ours - theirs, bus)),
        tuple(_by_index(theirs - ours, hosted)),
    )


def _as_on_bus(hosted: Mapping[str, MarketFigures], bus: Mapping[str, MarketFigures]) -> dict[str, MarketFigures]:
    """The hosted markets under their names on the bus, where only the live one of two has the name of both."""
    names = {figures.index: name for name, figures in bus.items()}
    placed: dict[str, MarketFigures] = {}
    others: dict[str, MarketFigures] = {}
    for name, figures in hosted.items():
        told = None if figures.index is None else names.get(figures.index)
        if figures.index is None or told not in (figures.market, indexed_name(figures.market, "perp", figures.index)):
            others[name] = figures
        else:
            placed[told] = figures
    for name, figures in others.items():
        taken = name in placed and figures.index is not None
        placed[indexed_name(figures.market, "perp", figures.index or 0) if taken else name] = figures
    return placed


def _fields(bus: MarketFigures, hosted: MarketFigures, tolerances: Tolerances) -> tuple[Comparison, ...]:
    return tuple(
        Comparison(bus.market, field, bus.values.get(field), hosted.values.get(field), *tolerances.of(field))
        for field in FIELDS
    )


def _by_index(names: Collection[str], side: Mapping[str, MarketFigures]) -> Sequence[str]:
    return sorted(names, key=lambda name: (side[name].index or 0, name))
