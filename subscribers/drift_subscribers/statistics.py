"""The numbers that a feed and its streams tell about themselves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

__all__ = ["Counters", "FeedStatistics", "StreamStatistics"]


@dataclass(slots=True)
class Counters:
    """What a feed counts since it was opened; mutable, shared by its parts."""

    changes: int = 0
    reassertions: int = 0
    duplicates: int = 0
    gaps: int = 0
    repaired: int = 0
    repairs_failed: int = 0
    resyncs: int = 0
    resyncs_failed: int = 0
    recreations: int = 0
    disconnects: int = 0
    overflows: int = 0
    refused: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class FeedStatistics:
    """A feed's numbers at one moment; the counts begin when it was opened.

    Attributes:
        connected: There is a connection to NATS now.
        markets: Names seen, of any kind.
        entries: Values in memory, fresh or not.
        streams: Open streams.
        changes: Changes taken into memory.
        reassertions: Confirmations of unchanged values.
        duplicates: Messages dropped because a snapshot or a repair already held them.
        gaps: Times that messages were missing in between (an expired re-assertion is no gap).
        repaired: Changes that were read from the stream because they were missing.
        repairs_failed: Repairs that the server did not answer; lossless streams read the hole later.
        resyncs: Snapshots taken: the first, and one after every reconnect or suspicion.
        resyncs_failed: Snapshots that the server did not answer; each was tried again.
        recreations: Times that the stream turned out to be another one under the same name.
        disconnects: Times that the connection was lost.
        overflows: Messages that the client library dropped because we were slow; repaired like any gap.
        refused: Messages not believed, by cause.
    """

    connected: bool
    markets: int
    entries: int
    streams: int
    changes: int
    reassertions: int
    duplicates: int
    gaps: int
    repaired: int
    repairs_failed: int
    resyncs: int
    resyncs_failed: int
    recreations: int
    disconnects: int
    overflows: int
    refused: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class StreamStatistics:
    """One stream's numbers at one moment.

    Attributes:
        depth: Events waiting in memory for the consumer.
        behind: The consumer is reading what it missed from the stream (lossless only).
        delivered: Events handed to the consumer.
        conflated: Events replaced by a newer one of the same market before they were delivered.
        dropped: Events given up because the buffer was full.
        repaired: Events read from the stream instead of from memory.
        oldest_age_s: Seconds that the oldest waiting event has waited; 0 when none waits.
    """

    depth: int
    behind: bool
    delivered: int
    conflated: int
    dropped: int
    repaired: int
    oldest_age_s: float
