"""One field over all markets: how many agree, and which is farthest apart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal, Self

from drift_bus.reconcile.comparison import Comparison, Reconciliation
from drift_bus.reconcile.figures import FIELDS, Field

__all__ = ["FieldSummary", "FieldVerdict", "summaries"]

FieldVerdict = Literal["agrees", "differs", "absent", "not compared"]


@dataclass(frozen=True, slots=True)
class FieldSummary:
    """A field's verdict and what led to it.

    Attributes:
        field: Which.
        compared: Markets where both sides have it.
        differing: Those of them beyond the tolerance.
        absent: Markets where a side lacks it.
        worst: The farthest apart, by what the tolerance measures; ``None`` where nothing was compared.
        verdict: ``absent`` where the bus lacks what the hosted API has, ``not compared`` where no market has both.
    """

    field: Field
    compared: int
    differing: int
    absent: int
    worst: Comparison | None
    verdict: FieldVerdict

    @classmethod
    def of(cls, field: Field, comparisons: Sequence[Comparison]) -> Self:
        """Sums the markets up."""
        verdicts = [one.verdict for one in comparisons]
        measured = [one for one in comparisons if one.difference is not None]
        verdict: FieldVerdict = "agrees" if measured else "not compared"
        if "differs" in verdicts:
            verdict = "differs"
        elif any(one.is_wrong for one in comparisons):
            verdict = "absent"
        return cls(
            field,
            len(measured),
            verdicts.count("differs"),
            verdicts.count("absent"),
            max(measured, key=_distance, default=None),
            verdict,
        )


def summaries(result: Reconciliation) -> list[FieldSummary]:
    """All fields, in their order."""
    return [FieldSummary.of(field, result.of(field)) for field in FIELDS]


def _distance(one: Comparison) -> tuple[bool, Decimal]:
    difference = one.difference or Decimal(0)
    if one.is_relative and one.relative_bps is not None:
        return False, one.relative_bps.copy_abs()
    # Beside a hosted 0 any difference is infinitely far.
    return one.is_relative and bool(difference), difference.copy_abs()
