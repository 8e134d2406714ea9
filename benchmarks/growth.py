"""Whether a figure grows: its slope by least squares, with the bound of that slope."""

from __future__ import annotations

import gc
import math
import sys
from collections.abc import Sequence
from statistics import fmean, median
from typing import Final, NamedTuple

__all__ = ["Growth", "growth_of", "live_objects"]

_BOUND_ERRORS: Final = 2.0
_MATTERS: Final = 0.001


class Growth(NamedTuple):
    """How a figure moved over time.

    Attributes:
        first, last: Medians of the first and the last quarter of the samples.
        per_minute: Slope.
        bound: Two standard errors of the slope; samples that hang together make it look smaller than it is.
        verdict: ``grows``, ``does not grow``, or ``cannot tell``.
    """

    first: float
    last: float
    per_minute: float
    bound: float
    verdict: str


def live_objects() -> int:
    """Memory blocks that live Python objects hold in this process, garbage collected first.

    A leak shows here at once. Resident memory also keeps the height of every burst that ever was.
    """
    gc.collect()
    return sys.getallocatedblocks()


def growth_of(samples: Sequence[tuple[float, float]]) -> Growth:
    """Judges samples of (seconds, value): a slope that its bound keeps above zero is growth, however small.

    Only where the whole bound lies below a thousandth of the value a minute is there none.
    """
    count = len(samples)
    if count < 4:
        nothing = float("nan")
        return Growth(nothing, nothing, nothing, nothing, "cannot tell")
    times, values = [at / 60 for at, _ in samples], [value for _, value in samples]
    middle, level = fmean(times), fmean(values)
    spread = sum((at - middle) ** 2 for at in times)
    slope = sum((at - middle) * (value - level) for at, value in zip(times, values, strict=True)) / spread
    rest = sum((value - level - slope * (at - middle)) ** 2 for at, value in zip(times, values, strict=True))
    bound = _BOUND_ERRORS * math.sqrt(rest / (count - 2) / spread)
    quarter = max(1, count // 4)
    first, last = median(values[:quarter]), median(values[-quarter:])
    return Growth(first, last, slope, bound, _verdict(slope, bound, _MATTERS * max(abs(level), 1.0)))


def _verdict(slope: float, bound: float, matters: float) -> str:
    if slope - bound > 0:
        return "grows"
    return "does not grow" if slope + bound < matters else "cannot tell"
