"""Who listens to one kind: the open streams, each holding its own place."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from weakref import WeakSet

from drift_subscribers.deliveries import Delivery
from drift_subscribers.streams import EventStream

__all__ = ["Audience"]


class Audience:
    """The open streams of one kind, by market. A stream that nobody refers to any more is forgotten."""

    def __init__(self) -> None:
        self._all: WeakSet[EventStream[Any]] = WeakSet()
        self._of_all: WeakSet[EventStream[Any]] = WeakSet()
        self._of_one: dict[str, WeakSet[EventStream[Any]]] = {}
        self._lossless: WeakSet[EventStream[Any]] = WeakSet()

    def __len__(self) -> int:
        return sum(1 for stream in self._all if not stream.closed)

    def add(self, stream: EventStream[Any], tokens: Iterable[str] | None, *, lossless: bool) -> None:
        """Lets ``stream`` hear the markets of ``tokens``, or all when it is ``None``."""
        self._all.add(stream)
        if tokens is None:
            self._of_all.add(stream)
        for token in tokens or ():
            self._of_one.setdefault(token, WeakSet()).add(stream)
        if lossless:
            self._lossless.add(stream)

    def offer(self, delivery: Delivery, *, to_lossless: bool = True) -> None:
        """Hands a change to every stream that listens to its market."""
        token = delivery.envelope.token
        for listeners in (self._of_all, self._of_one.get(token, ())):
            for stream in listeners:
                if not stream.closed and (to_lossless or stream not in self._lossless):
                    stream._offer(delivery)

    def mark_hole(self, token: str, sequence: int) -> None:
        """Tells the lossless streams of a market to read the message at ``sequence``, and all that is missing."""
        for listeners in (self._of_all, self._of_one.get(token, ())):
            for stream in listeners:
                stream._mark_hole(token, sequence)

    def restart(self) -> None:
        """Tells every stream that the sequences begin anew."""
        for stream in list(self._all):
            stream._restart()

    def close(self) -> None:
        """Ends every stream."""
        for stream in list(self._all):
            stream.close()

    def forget_closed(self) -> None:
        """Lets go of streams that were closed, and of markets that nobody listens to."""
        for listeners in (self._all, self._of_all, self._lossless, *self._of_one.values()):
            for stream in [stream for stream in listeners if stream.closed]:
                listeners.discard(stream)
        for token in [token for token, listeners in self._of_one.items() if not listeners]:
            del self._of_one[token]
