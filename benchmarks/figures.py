"""The few statistics that the benches report: percentiles, and the median of repeated runs."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import NamedTuple

__all__ = ["Percentiles", "median_of", "pair", "percentiles_ms", "ratios_of"]


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


def ratios_of(runs: Sequence[tuple[Percentiles, Percentiles]]) -> tuple[float, float]:
    """The median over the runs of each run's ratio, at p50 and at p99."""
    return (
        statistics.median(ours.p50 / theirs.p50 for ours, theirs in runs),
        statistics.median(ours.p99 / theirs.p99 for ours, theirs in runs),
    )


def pair(times: Percentiles) -> str:
    """Both percentiles as text."""
    return f"{times.p50:.2f} / {times.p99:.2f}"
