"""The feed for threads and plain scripts: reads as ever, streams that block."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Iterator
from concurrent.futures import CancelledError, Future
from datetime import datetime
from types import TracebackType
from typing import Any, Generic, Literal, Self, TypedDict, TypeVar, Unpack, overload

from drift_schemas import FundingEvent, Kind, MarketDataEvent, MarketEvent, PriceEvent, SpotMarketEvent
from drift_subscribers.background import Background
from drift_subscribers.errors import FeedClosed
from drift_subscribers.feed import DriftFeed, FeedStatus
from drift_subscribers.options import Markets
from drift_subscribers.policies import Policy
from drift_subscribers.reads import Reads
from drift_subscribers.roster import OpenStream
from drift_subscribers.statistics import FeedStatistics, StreamStatistics
from drift_subscribers.streams import EventStream

__all__ = ["BlockingFeed", "BlockingStream", "BlockingStreamOptions"]

_E = TypeVar("_E", bound=MarketDataEvent)


class BlockingStreamOptions(TypedDict, total=False):
    """The keyword arguments of ``BlockingFeed.stream``: those of ``DriftFeed.stream``, and a timeout."""

    policy: Policy | None
    since: int | datetime | None
    current: bool
    timeout_s: float | None
    """Longest wait for the next event; for ever when ``None``."""


class BlockingFeed(Reads):
    """A feed without ``await``; made by ``DriftFeed.open_sync``. It may be used from several threads.

    An event loop in a thread of its own keeps it up to date. Reads are those of ``DriftFeed``: sync, from
    memory. Close it, or leave ``with``; if that is forgotten, it is closed when nothing refers to it any more,
    at the latest when the interpreter exits.
    """

    def __init__(self, feed: DriftFeed) -> None:
        super().__init__(feed._memories, feed._heartbeat)
        self._feed = feed
        self._background = Background(feed)
        self._background.start()
        self._closer = weakref.finalize(self, self._background.stop)

    @property
    def connected(self) -> bool:
        """There is a connection to NATS now."""
        return self._feed.connected

    @property
    def state(self) -> FeedStatus:
        """What the feed itself is doing."""
        return self._feed.state

    @property
    def reason(self) -> str:
        """Why the feed is not live, and what to do where it knows; empty while it is live."""
        return self._feed.reason

    @property
    def unreadable(self) -> str:
        """Why the stream, which may be there, does not answer now; empty while it does."""
        return self._feed.unreadable

    def missing(self) -> list[str]:
        """Names from ``markets=`` of which nothing was seen."""
        return self._feed.missing()

    def statistics(self) -> FeedStatistics:
        """The feed's numbers now."""
        return self._background.call(self._feed.statistics)

    def stream_statistics(self) -> list[OpenStream]:
        """The numbers of each open stream, in the order in which they were opened."""
        return self._background.call(self._feed.stream_statistics)

    @overload
    def stream(
        self,
        kind: Literal["funding"],
        market: Markets = ...,
        **options: Unpack[BlockingStreamOptions],
    ) -> BlockingStream[FundingEvent]: ...
    @overload
    def stream(
        self, kind: Literal["price"], market: Markets = ..., **options: Unpack[BlockingStreamOptions]
    ) -> BlockingStream[PriceEvent]: ...
    @overload
    def stream(
        self,
        kind: Literal["market"],
        market: Markets = ...,
        **options: Unpack[BlockingStreamOptions],
    ) -> BlockingStream[MarketEvent]: ...
    @overload
    def stream(
        self, kind: Literal["spot"], market: Markets = ..., **options: Unpack[BlockingStreamOptions]
    ) -> BlockingStream[SpotMarketEvent]: ...
    def stream(
        self,
        kind: Kind,
        market: Markets = None,
        *,
        policy: Policy | None = None,
        since: int | datetime | None = None,
        current: bool = False,
        timeout_s: float | None = None,
    ) -> BlockingStream[Any]:
        """Changes of one kind as they are stored, as an iterator that waits; see ``DriftFeed.stream``.

        Args:
            kind: ``funding``, ``price``, ``market`` or ``spot``.
            market: A market's name, or the names of several; every market when ``None``.
            policy: What happens when the consumer is slow.
            since: Begin in the past (lossless only).
            current: Begin with the fresh values in memory.
            timeout_s: Longest wait for the next event; for ever when ``None``.

        Raises:
            FeedClosed: the feed is closed.
            ValueError: the feed does not follow that kind or market, or the arguments contradict each other.
        """

        def opened() -> EventStream[Any]:
            stream: EventStream[Any] = self._feed.stream(kind, market, policy=policy, since=since, current=current)
            return stream

        return BlockingStream(self, self._background.call(opened), timeout_s)

    def close(self) -> None:
        """Ends streams, connection and thread; returns when that is done. Does nothing the next time."""
        self._closer()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class BlockingStream(Generic[_E]):
    """Changes of one kind as an iterator that waits for the next; made by ``BlockingFeed.stream``.

    It ends when it or its feed is closed. One consumer at a time. A wait that ends by its timeout, or by
    Ctrl-C, loses nothing: the next one goes on.
    """

    def __init__(self, feed: BlockingFeed, stream: EventStream[_E], timeout_s: float | None) -> None:
        self._feed = feed  # which closes itself when nothing refers to it
        self._stream = stream
        self._timeout_s = timeout_s
        self._taken = threading.Lock()
        self._next: Future[_E | None] | None = None

    @property
    def closed(self) -> bool:
        """No more events come."""
        return self._stream.closed

    @property
    def sequence(self) -> int:
        """Place in the stream of the event delivered last, 0 before; ``since=sequence + 1`` resumes."""
        return self._stream.sequence

    def statistics(self) -> StreamStatistics:
        """The stream's numbers now."""
        return self._feed._background.call(self._stream.statistics)

    def close(self) -> None:
        """Ends the iteration at once; what is not yet delivered is let go."""
        self._feed._background.call(self._stream.close)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __iter__(self) -> Iterator[_E]:
        return self

    def __next__(self) -> _E:
        """The next event.

        Raises:
            TimeoutError: none came within ``timeout_s``; the stream goes on.
        """
        if not self._taken.acquire(blocking=False):
            raise RuntimeError("this stream has a consumer already; open a stream for each")
        try:
            event = self._wait()
        except (FeedClosed, CancelledError):
            event = None
        finally:
            self._taken.release()
        if event is None:
            raise StopIteration
        return event

    def _wait(self) -> _E | None:
        if self._next is None:
            self._next = self._feed._background.submit(_next_of(self._stream))
        try:
            event = self._next.result(self._timeout_s)
        except TimeoutError:
            raise TimeoutError(f"no event within {self._timeout_s} s") from None
        self._next = None
        return event


async def _next_of(stream: EventStream[_E]) -> _E | None:
    return await anext(stream, None)
