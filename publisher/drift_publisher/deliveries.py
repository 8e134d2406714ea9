"""What became of the messages that the stream has: how many of each market, when the last, and how long each took."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final, Literal

from drift_publisher.lanes import Lane

__all__ = ["BOUNDS_S", "Deliveries", "Histogram", "Stage", "StreamEntry"]

BOUNDS_S: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Upper bounds of the histograms' buckets, in seconds."""

Stage = Literal["notification_to_publish", "publish_to_ack", "notification_to_ack"]
STAGES: Final[tuple[Stage, ...]] = ("notification_to_publish", "publish_to_ack", "notification_to_ack")


@dataclass(slots=True)
class Histogram:
    """Durations by size; ``below[n]`` counts those of at most ``BOUNDS_S[n]``, as Prometheus counts.

    Attributes:
        total_s: Their sum.
        count: How many.
    """

    below: list[int] = field(default_factory=lambda: [0] * len(BOUNDS_S))
    total_s: float = 0.0
    count: int = 0

    def add(self, seconds: list[float]) -> None:
        """Takes many in at once: sorted, a bound costs one search, and a duration next to nothing."""
        seconds.sort()
        for number, bound in enumerate(BOUNDS_S):
            self.below[number] += bisect_right(seconds, bound)
        self.total_s += sum(seconds)
        self.count += len(seconds)


@dataclass(slots=True)
class StreamEntry:
    """One subject in the stream.

    Attributes:
        kind, market: Of its events; the market as its subject's token.
        changes, reassertions: Messages that the stream has acknowledged.
        stored_at: Monotonic time of the last acknowledgement.
    """

    kind: str
    market: str
    changes: int = 0
    reassertions: int = 0
    stored_at: float = 0.0


class Deliveries:
    """Counts acknowledged messages in batches, so that the way of a message holds one ``append`` and no more.

    Attributes:
        entries: By ingress subject.
        histograms: By stage and kind. A re-assertion, and a change that no notification brought, such as an estimate
            that moved with time, is in ``publish_to_ack`` alone.
    """

    def __init__(self) -> None:
        self.entries: dict[str, StreamEntry] = {}
        self.histograms: dict[tuple[Stage, str], Histogram] = {}

    def take(self, lanes: Iterable[Lane]) -> None:
        """Takes over what ``lanes`` noted as acknowledged."""
        durations: dict[tuple[Stage, str], list[float]] = {}
        for lane in lanes:
            if not lane.acked:
                continue
            acked, lane.acked = lane.acked, []
            entry = self._entry(acked[0][0].subject)
            reassertions = sum(message.is_reassertion for message, _, _ in acked)
            entry.reassertions += reassertions
            entry.changes += len(acked) - reassertions
            entry.stored_at = acked[-1][2]
            to_publish, to_ack, whole = (durations.setdefault((stage, entry.kind), []) for stage in STAGES)
            for message, sent_at, acked_at in acked:
                to_ack.append(acked_at - sent_at)
                if message.news_age_s is not None:
                    to_publish.append(message.news_age_s + sent_at - message.made_at)
                    whole.append(message.news_age_s + acked_at - message.made_at)
        for key, seconds in durations.items():
            self.histograms.setdefault(key, Histogram()).add(seconds)

    def stored_at(self, kind: str) -> dict[str, float]:
        """Monotonic time of the last acknowledgement of each market of a kind, by its subject's token."""
        return {entry.market: entry.stored_at for entry in self.entries.values() if entry.kind == kind}

    def published(self) -> Counter[tuple[str, str, str]]:
        """Acknowledged messages by kind, market and ``change`` or ``reassertion``."""
        found: Counter[tuple[str, str, str]] = Counter()
        for entry in self.entries.values():
            found[entry.kind, entry.market, "change"] += entry.changes
            found[entry.kind, entry.market, "reassertion"] += entry.reassertions
        return found

    def _entry(self, subject: str) -> StreamEntry:
        entry = self.entries.get(subject)
        if entry is None:
            kind, market = subject.rsplit(".", 2)[1:]
            entry = self.entries[subject] = StreamEntry(kind, market)
        return entry
