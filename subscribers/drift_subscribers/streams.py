"""What an engine iterates over: changes of one kind, through a buffer of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import TracebackType
from typing import Generic, Self, TypeVar, cast

from drift_schemas import MarketDataEvent
from drift_subscribers.buffers import Buffer
from drift_subscribers.deliveries import Delivery
from drift_subscribers.statistics import StreamStatistics

__all__ = ["EventStream"]

_E_co = TypeVar("_E_co", bound=MarketDataEvent, covariant=True)


class EventStream(Generic[_E_co]):
    """Changes of one kind, of one market or of all, as an async iterator; made by ``DriftFeed.stream``.

    It holds changes from the moment it is made. It ends when it or its feed is closed, or when nothing refers
    to it any more; leaving ``async with`` closes it. One consumer at a time. Cancelling the wait loses
    nothing.
    """

    def __init__(self, buffer: Buffer, clock: Callable[[], float]) -> None:
        self._buffer = buffer
        self._clock = clock
        self._wakeup = asyncio.Event()
        self._closed = False
        self._taken = False
        self._delivered = 0
        self._sequence = 0

    @property
    def closed(self) -> bool:
        """No more events come."""
        return self._closed

    @property
    def sequence(self) -> int:
        """Place in the stream of the event delivered last, 0 before; ``since=sequence + 1`` resumes."""
        return self._sequence

    def statistics(self) -> StreamStatistics:
        """The stream's numbers now."""
        oldest = self._buffer.oldest()
        return StreamStatistics(
            depth=len(self._buffer),
            behind=self._buffer.behind,
            delivered=self._delivered,
            conflated=self._buffer.conflated,
            dropped=self._buffer.dropped,
            repaired=self._buffer.repaired,
            oldest_age_s=0.0 if oldest is None else max(0.0, self._clock() - oldest.received_at),
        )

    def close(self) -> None:
        """Ends the iteration at once; what is not yet delivered is let go."""
        self._closed = True
        self._wakeup.set()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> _E_co:
        if self._taken:
            raise RuntimeError("this stream has a consumer already; open a stream for each")
        self._taken = True
        try:
            while not self._closed:
                delivery = self._buffer.take()
                if delivery is not None:
                    self._delivered += 1
                    self._sequence = delivery.envelope.sequence
                    return cast(_E_co, delivery.event)
                self._wakeup.clear()
                if self._buffer.behind:
                    await self._buffer.catch_up()
                else:
                    await self._wakeup.wait()
            raise StopAsyncIteration
        finally:
            self._taken = False

    def _offer(self, delivery: Delivery) -> None:
        self._buffer.offer(delivery)
        self._wakeup.set()

    def _mark_hole(self, token: str, sequence: int) -> None:
        self._buffer.mark_hole(token, sequence)
        self._wakeup.set()

    def _restart(self) -> None:
        self._buffer.restart()
        self._wakeup.set()
