"""The open streams of a feed, each with what was asked for, and how they fare."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any
from weakref import ref

from drift_schemas import Kind
from drift_subscribers.policies import Policy
from drift_subscribers.statistics import StreamStatistics
from drift_subscribers.streams import EventStream

__all__ = ["OpenStream", "Roster"]


@dataclass(frozen=True, slots=True)
class OpenStream:
    """One open stream at one moment.

    Attributes:
        number: Counts the streams of a feed in the order in which they were opened, from 1.
        kind: The kind that it gives.
        market: The market that it gives, or several, separated by commas; every one when ``None``.
        policy: What happens when its consumer is slow.
        statistics: Its numbers.
    """

    number: int
    kind: Kind
    market: str | None
    policy: Policy
    statistics: StreamStatistics


class Roster:
    """Knows streams without keeping them: one that was closed, or that nobody refers to any more, is forgotten."""

    def __init__(self) -> None:
        self._numbers = itertools.count(1)
        self._streams: dict[int, tuple[ref[EventStream[Any]], Kind, str | None, Policy]] = {}

    def add(self, stream: EventStream[Any], kind: Kind, markets: tuple[str, ...] | None, policy: Policy) -> None:
        """Takes note of a stream that was opened."""
        for number, (known, *_) in list(self._streams.items()):
            if (opened := known()) is None or opened.closed:
                del self._streams[number]
        market = None if markets is None else ",".join(markets)
        self._streams[next(self._numbers)] = (ref(stream), kind, market, policy)

    def open_streams(self) -> list[OpenStream]:
        """The streams that are open, in the order in which they were opened."""
        return [
            OpenStream(number, kind, market, policy, stream.statistics())
            for number, (known, kind, market, policy) in self._streams.items()
            if (stream := known()) is not None and not stream.closed
        ]
