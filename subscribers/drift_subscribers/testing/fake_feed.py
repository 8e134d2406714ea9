"""A feed that is told what happens: for the tests of engines, without a server and without waiting."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Final, Self

from nats.aio.msg import Msg

from drift_schemas import Kind, MarketDataEvent, StatusEvent, decode_event, note_receipt
from drift_subscribers.deliveries import Refused
from drift_subscribers.errors import FeedClosed
from drift_subscribers.feed import DriftFeed
from drift_subscribers.testing.events import BEGINNING_NS, status_event
from drift_subscribers.testing.stream_log import LogReader, StreamLog

__all__ = ["FakeFeed"]

_STARTED_S: Final = 1_000.0


class FakeFeed(DriftFeed):
    """A ``DriftFeed`` whose bus is a script. Only the server, the network and time are replaced.

    >>> feed = FakeFeed([funding_event("SOL-PERP", funding_rate=-3_000_000)])
    >>> feed.require_funding("SOL-PERP").hourly_rate
    -2e-05
    >>> feed.advance(31)
    >>> feed.funding("SOL-PERP") is None
    True

    Memory, freshness, streams with their policies and errors are those of ``DriftFeed``. It is open from the
    start, so that sync code can be tested without an event loop; leaving ``async with`` closes it. It has a
    clock of its own, which only ``advance`` moves, and a publisher that beats every second until ``silence``.
    It is used in one thread.

    Args:
        events: What is on the bus already.
        markets: Names to follow; all of them when ``None``.
        kinds: Kinds to follow; all of them when ``None``.
        prefix: The bus's subject prefix.
    """

    def __init__(
        self,
        events: Iterable[MarketDataEvent] = (),
        *,
        markets: Iterable[str] | None = None,
        kinds: Iterable[Kind] | None = None,
        prefix: str = "drift",
    ) -> None:
        self._seconds = _STARTED_S
        super().__init__(
            "nats://fake.invalid",
            markets=markets,
            kinds=kinds,
            prefix=prefix,
            clock=self._monotonic,
            wall_clock=lambda: self._wall_ns() / 1e9,
        )
        self._log = StreamLog(self._topology, self._wall_ns)
        self._reader = LogReader(self._log, self._connection, self._topology)
        self._server_clock.calibrate(self._wall_ns(), self._seconds)
        self._line = self._open = True
        self._entered = False
        self._beating: StatusEvent | None = None
        self._counters.resyncs = 1
        self._keeper.gate.set()
        self.heartbeat()
        self.put(*events)

    async def __aenter__(self) -> Self:
        if self._entered or not self._open:
            raise FeedClosed("a feed is opened once: make another one")
        self._entered = True
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._close()

    @property
    def connected(self) -> bool:
        """There is a connection now: from the start until ``disconnect`` or the end."""
        return self._open and self._line

    @property
    def now(self) -> datetime:
        """The feed's own wall clock: begins at 2023-11-14 22:13:20 UTC."""
        return datetime.fromtimestamp(self._wall_ns() / 1e9, UTC)

    def put(self, *events: MarketDataEvent) -> int:
        """Stores changes on the bus, in this order; returns the sequence of the last one.

        Raises:
            ValueError: an event that a feed would refuse.
        """
        for event in events:
            self._hear(self._log.append(event))
        return self._log.last_sequence

    def confirm(self, kind: Kind | None = None, market: str | None = None) -> None:
        """Confirms what is on the bus, unchanged, as the publisher does every third of a kind's TTL.

        Args:
            kind: One kind; every kind when ``None``.
            market: One market; every market when ``None``.
        """
        for message in self._log.last_messages():
            parsed = self._topology.subjects.parse(message.subject)
            if parsed is None or (kind is not None and parsed[0] != kind):
                continue
            event = decode_event(parsed[0], message.data, message.headers)
            if market is None or event.market == market:
                self._hear(self._log.append(event, reassertion=True))

    def advance(self, seconds: float) -> None:
        """Lets time pass: values and streams age, and nobody confirms them; heartbeats go on until ``silence``.

        Raises:
            ValueError: time does not go back.
        """
        if seconds < 0:
            raise ValueError(f"advance({seconds}): time does not go back")
        self._seconds += seconds
        self._beat()

    def heartbeat(self, **fields: Any) -> None:
        """Lets the publisher beat, now and every second from now on; by default in good health.

        >>> feed.heartbeat(source_state="stalled", reason="no slot for 7 s")

        Args:
            fields: Fields of ``StatusEvent``.
        """
        self._beating = status_event(**fields)
        self._beat()

    def silence(self) -> None:
        """Lets the publisher fall silent; after 4 s a feed says so."""
        self._beating = None

    def disconnect(self) -> None:
        """Cuts the line: what is put from now on is stored, and not heard."""
        if self.connected:
            self._counters.disconnects += 1
        self._line = False
        self._keeper.gate.clear()

    def reconnect(self) -> None:
        """Brings the line back: the feed reads the last values, and lossless streams what they missed."""
        self._line = True
        self._keeper._take([message for message in self._log.last_messages() if self._follows(message)])
        self._counters.resyncs += 1
        self._keeper.gate.set()
        self._beat()

    def close(self) -> None:
        """Ends every stream and the feed, as leaving ``async with`` does."""
        self._open = False
        for lane in self._lanes.values():
            lane.audience.close()

    def _beat(self) -> None:
        if self._line and self._beating is not None:
            beat = self._beating.model_copy()
            self._heartbeat.hear(note_receipt(beat, sequence=None, received_at_ns=self._wall_ns()))

    def _hear(self, message: Msg) -> None:
        try:
            envelope = self._inspector.envelope(message.subject, message.headers)
            delivery = self._inspector.open(envelope, message.data, message.headers)
        except Refused as refused:
            raise ValueError(f"a feed would refuse this event: {refused}") from None
        if self._line and self._follows(message):
            self._lanes[envelope.kind].take(delivery, self._seconds)

    def _follows(self, message: Msg) -> bool:
        kind, token = message.subject.split(".")[-2:]
        return kind in self._followed and (self._tokens is None or token in self._tokens)

    def _monotonic(self) -> float:
        return self._seconds

    def _wall_ns(self) -> int:
        return BEGINNING_NS + round((self._seconds - _STARTED_S) * 1e9)
