"""What can go wrong at the engine's side, and what each error tells.

* ``FeedError``: base of all
    * ``CannotConnect``: no NATS server answered in time, or it refused us
    * ``SnapshotIncomplete``: connected, but the stream's last values could not be read in time
    * ``FeedClosed``: the feed was used before it was opened or after it was closed
    * ``MarketNotFound``: nothing was ever seen of that market
    * ``StaleData``: there is a value, and it must not be used; ``reason`` says why
"""

from __future__ import annotations

from enum import StrEnum

from drift_schemas import Kind

__all__ = [
    "CannotConnect",
    "FeedClosed",
    "FeedError",
    "MarketNotFound",
    "SnapshotIncomplete",
    "StaleData",
    "StaleReason",
]


class FeedError(Exception):
    """Base of every error that this package raises."""


class CannotConnect(FeedError):
    """No NATS server answered within the time allowed, or it refused the connection."""


class SnapshotIncomplete(FeedError):
    """The server answers, but the stream's last values could not be read within the time allowed."""


class FeedClosed(FeedError):
    """The feed is not open: use it inside ``async with``."""


class StaleReason(StrEnum):
    """Why a value is not to be used, the most fundamental cause first."""

    DISCONNECTED = "disconnected"
    """The feed has no connection to NATS now."""
    STREAM_UNREADABLE = "stream unreadable"
    """Connected to NATS, but the stream does not answer: a leaf node that lost its hub, for one."""
    PUBLISHER_SILENT = "publisher silent"
    """No heartbeat for seconds: the publisher is down or cut off."""
    CHAIN_STALLED = "chain stalled"
    """The publisher lives, but its source does not."""
    ORACLE_INVALID = "oracle invalid"
    """The value is fresh, but the program's own test refuses the oracle behind it."""
    TOO_OLD = "too old"
    """Neither changed nor confirmed within the time asked for."""
    NEVER_SEEN = "never seen"
    """Nothing was ever received of that market."""


class MarketNotFound(FeedError, LookupError):
    """Nothing was ever seen of this market.

    Attributes:
        symbol: The market that was asked for.
        kind: The kind that was asked for.
        age_s: Always ``None``: there is no value.
        reason: The cause, as far as the feed knows it.
    """

    def __init__(self, symbol: str, kind: Kind, reason: StaleReason, detail: str) -> None:
        super().__init__(f"no {kind} of {symbol!r}: {detail}")
        self.symbol = symbol
        self.kind = kind
        self.age_s: float | None = None
        self.reason = reason


class StaleData(FeedError):
    """There is a value of this market, but it must not be used.

    Attributes:
        symbol: The market that was asked for.
        kind: The kind that was asked for.
        age_s: Seconds since the value last changed or was confirmed.
        reason: The cause.
    """

    def __init__(self, symbol: str, kind: Kind, age_s: float, reason: StaleReason, detail: str) -> None:
        super().__init__(f"{kind} of {symbol!r} is {age_s:.1f} s old: {detail}")
        self.symbol = symbol
        self.kind = kind
        self.age_s = age_s
        self.reason = reason
