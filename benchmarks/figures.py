"""The few statistics that the benches report: percentiles, and the median of repeated runs."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import NamedTuple

__all__ = ["Percentiles", "median_of", "percentiles_ms"]


class Percentiles(NamedTuple):
    """Median and 99th percentile, and of how many samples."""

    p50: float
    p99: float
    samples: int


def percentiles_ms(samples_s: Sequence[float]) -> Percentiles:
    """Percentiles in milliseconds of samples in seconds."""
    ordered = sorted(samples_s)
    if not ordered:
        return Percentiles(float("nan"), float("nan"), 0)
    last = len(ordered) - 1
    return Percentiles(ordered[last // 2] * 1e3, ordered[round(last * 0.99)] * 1e3, len(ordered))


def median_of(runs: Sequence[Percentiles]) -> Percentiles:
    """The median of each percentile over several runs."""
    return Percentiles(
        statistics.median(run.p50 for run in runs),
        statistics.median(run.p99 for run in runs),
        sum(run.samples for run in runs),
    )
