"""A replay as an async iterator: events in their order, at the speed asked for, pausable and stepwise."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter, deque
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Final, Self, Unpack

from drift_schemas import MarketDataEvent, MessageError, decode_event, note_receipt
from drift_subscribers.errors import FeedClosed
from drift_subscribers.history import Selection, Span, StoredMessage, read_span
from drift_subscribers.replay.control import Paced
from drift_subscribers.replay.pacing import Pacer, Speed
from drift_subscribers.replay.source import ReplayOptions, Server, Source

__all__ = ["Replay"]

_log = logging.getLogger("drift_subscribers")
_MOST_REPORTS: Final = 10


class Replay(Paced):
    """The changes that the bus has carried, once more, each in its order.

    >>> async with Replay("nats://127.0.0.1:4222", since="-2h", kinds=["price"], speed=10) as replay:
    ...     async for event in replay:
    ...         ...

    An event's time is when the stream stored it. The same selection of the same history gives the same events, at any
    speed, however it is paused and stepped. Re-assertions are no changes, and are not among them.

    Args:
        server: A NATS URL, several of one cluster, or an open client, which stays the caller's.
        speed: Replayed seconds per second, or ``"max"``: no waiting.
        options: What is replayed, and how it is read: see :class:`ReplayOptions`.

    Raises:
        BadMoment, BadSelection, BadSpeed: the arguments are no replay.
        CannotConnect: on entering: no server answered in time.
        NoHistory, EmptyHistory, HistoryPurged: on entering: there is no such history, and why.
        HistoryInterrupted: while iterating: the server stayed away, or the stream was made anew.

    Attributes:
        refused: Messages that could not be decoded, by the error's name; they are left out.
    """

    def __init__(
        self, server: Server = "nats://127.0.0.1:4222", *, speed: Speed = "max", **options: Unpack[ReplayOptions]
    ) -> None:
        super().__init__(Pacer(speed, options.get("clock", time.monotonic)))
        self.refused: Counter[str] = Counter()
        self._source = Source(server, options)
        self._stack = AsyncExitStack()
        self._span: Span | None = None
        self._batches: AsyncGenerator[list[StoredMessage], None] | None = None
        self._reading = asyncio.Lock()
        self._waiting: deque[StoredMessage] = deque()
        self._sequence = 0

    async def __aenter__(self) -> Self:
        if self._span is not None:
            raise FeedClosed("a replay is opened once: make another one")
        source = self._source
        async with AsyncExitStack() as stack:
            client = await stack.enter_async_context(source.connected())
            self._span = await source.span(client)
            self._batches = read_span(
                client, source.topology, source.selection, self._span, patience_s=source.patience_s
            )
            stack.push_async_callback(self._batches.aclose)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._batches = None
        self._waiting.clear()
        await self._stack.aclose()

    @property
    def selection(self) -> Selection:
        """What was asked for."""
        return self._source.selection

    @property
    def span(self) -> Span:
        """The sequences that are replayed."""
        if self._span is None:
            raise FeedClosed("open the replay with async with")
        return self._span

    @property
    def sequence(self) -> int:
        """Place in the stream of the last event given out, 0 before; ``first_sequence=sequence + 1`` resumes."""
        return self._sequence

    async def step(self, count: int = 1) -> list[MarketDataEvent]:
        """Pauses, and gives the next ``count`` events at once; fewer at the end. The iteration goes on after them."""
        self.pause()
        events: list[MarketDataEvent] = []
        while len(events) < count and (message := await self._next(paced=False)) is not None:
            event = self._decoded(message)
            if event is not None:
                events.append(event)
        return events

    async def messages(self) -> AsyncGenerator[StoredMessage, None]:
        """The same as iterating, but undecoded: subject, headers and payload as the stream holds them."""
        while (message := await self._next(paced=True)) is not None:
            yield message

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> MarketDataEvent:
        while (message := await self._next(paced=True)) is not None:
            event = self._decoded(message)
            if event is not None:
                return event
        raise StopAsyncIteration

    async def _next(self, *, paced: bool) -> StoredMessage | None:
        while True:
            if not self._waiting and not await self._read():
                return None
            head = self._waiting[0]
            if paced and not await self._pacer.due(head.stored_at_ns):
                continue
            if self._waiting and self._waiting[0] is head:
                self._waiting.popleft()
                if not paced:
                    self._pacer.jump(head.stored_at_ns)
                self._sequence = head.sequence
                return head

    async def _read(self) -> bool:
        async with self._reading:
            if self._batches is None:
                raise FeedClosed("the replay is not open: use it inside async with")
            if not self._waiting:
                self._waiting.extend(await anext(self._batches, []))
            return bool(self._waiting)

    def _decoded(self, message: StoredMessage) -> MarketDataEvent | None:
        if message.kind is None:
            return None
        try:
            event = decode_event(message.kind, message.payload, message.headers)
            return note_receipt(event, sequence=message.sequence, received_at_ns=time.time_ns())
        except MessageError as error:
            self.refused[type(error).__name__] += 1
            if self.refused.total() <= _MOST_REPORTS:
                _log.warning("left out sequence %d on %s: %s", message.sequence, message.subject, error)
            return None
