"""The way onto NATS: ordered per subject, acknowledged, retried with the same id, never sent late."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from nats.errors import Error as NatsError
from tenacity import AsyncRetrying, retry_if_exception_type, wait_random_exponential

from drift_publisher.asking import ask
from drift_publisher.deliveries import Deliveries
from drift_publisher.fences import Fences
from drift_publisher.lanes import LONGEST_WAIT_S, Ack, Lane, Message, Sent, parse_ack
from drift_publisher.nats_client import NatsClient, hpub
from drift_schemas import REASSERTION_HEADER

__all__ = ["Bus"]

_log = logging.getLogger(__name__)
_ACK_TIMEOUT_S: Final = 2.0
_LOOK_EVERY_S: Final = 0.25
_MOST_REPORTS: Final = 1000
_MOST_AT_ONCE: Final = 256
_full_jitter: Final = wait_random_exponential(multiplier=0.2, max=5.0)


class _NotStored(RuntimeError):
    """One attempt did not end in an acknowledgement."""


class Bus:
    """Publishes messages to JetStream without ever blocking the one who submits.

    A subject has a window of messages on their way and at most one waiting behind it: a newer one replaces that, so
    memory is bounded by the number of subjects whatever NATS does. The last message of a subject that nobody
    acknowledged is sent again with the same id, with jitter, until it is acknowledged, overtaken, or stale; an earlier
    one is never sent again, for it would overtake its successor.

    Attributes:
        counts: ``stored``, ``duplicate``, ``retried``, ``superseded``, ``stale``, ``refused`` since the start.
        deliveries: What was acknowledged, by subject; at most a quarter of a second late.
    """

    def __init__(self, nats: NatsClient) -> None:
        self.counts: Counter[str] = Counter()
        self.deliveries = Deliveries()
        self.on_reassertion: Callable[[Message, int], None] | None = None
        """Told of each acknowledged re-assertion and its sequence in the stream."""
        self._nats = nats
        self._inbox = nats.new_inbox()
        self._lanes: dict[str, Lane] = {}
        self._by_number: list[Lane] = []
        self._outbox: deque[tuple[Lane, Message, float]] = deque()
        self._wake = asyncio.Event()
        self._settled = asyncio.Event()
        self._reported: set[str] = set()
        self._fences = Fences()
        self._on_fenced: Callable[[], None] = _nothing
        self._is_held = False
        self._is_leading: Callable[[], bool] = lambda: True
        self._reign = 0

    def lead(
        self,
        fences: Sequence[dict[str, str]],
        is_leading: Callable[[], bool],
        on_fenced: Callable[[], None] | None = None,
    ) -> None:
        """From now on every message carries one of ``fences``, and no two on their way the same one of them.

        Nothing is sent while ``is_leading`` says no. ``on_fenced`` is told when the stream refuses a message because
        its fence has moved on, or is gone.
        """
        self._fences.renew(fences)
        self._is_leading = is_leading
        self._on_fenced = on_fenced or _nothing

    def abandon(self) -> None:
        """Drops everything that is not acknowledged: it is not ours to send any more."""
        self._reign += 1
        self._on_fenced = _nothing
        self._outbox.clear()
        for lane in self._by_number:
            for sent in lane.sent.values():
                self._give_back(sent.fence)
            lane.clear()
        self._settled.set()

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Sends nothing inside the ``with``; what is submitted waits."""
        self._is_held = True
        try:
            yield
        finally:
            self._is_held = False
            self._wake.set()

    @property
    def outstanding(self) -> int:
        """Subjects with messages that are not yet acknowledged."""
        return sum(not lane.is_empty for lane in self._by_number)

    def queue_depths(self) -> dict[str, int]:
        """Messages ``waiting`` for room in their subject's window, ``queued`` to be sent, ``sent`` and not answered."""
        lanes = self._by_number
        return {
            "waiting": sum(lane.waiting is not None for lane in lanes),
            "queued": len(self._outbox),
            "sent": sum(len(lane.sent) + lane.is_retrying for lane in lanes),
        }

    def submit(self, message: Message) -> None:
        """Queues a message; returns at once."""
        lane = self._lanes.get(message.subject)
        if lane is None:
            lane = self._lanes[message.subject] = Lane(len(self._by_number))
            self._by_number.append(lane)
        if lane.waiting is not None:
            self.counts["superseded"] += 1
        lane.waiting = message
        self._advance(lane)

    async def run(self) -> None:
        """Sends, until cancelled."""
        acks = await self._nats.hear_replies(self._inbox, self._on_ack)
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._send_outbox(), name="bus-sender")
                tasks.create_task(self._watch_acks(tasks), name="bus-ack-watch")
        finally:
            if not self._nats.is_closed:
                await acks.unsubscribe()

    async def drained(self, timeout_s: float) -> bool:
        """Waits until everything submitted is acknowledged or given up; says whether that happened in time."""
        deadline = time.monotonic() + timeout_s
        while self.outstanding and (left_s := deadline - time.monotonic()) > 0:
            self._settled.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(left_s):
                    await self._settled.wait()
        return not self.outstanding

    def _advance(self, lane: Lane) -> None:
        if lane.waiting is None or not self._nats.is_connected:
            return
        now = time.monotonic()
        is_stuck = self._outbox and now - self._outbox[0][2] > LONGEST_WAIT_S
        if lane.has_room(now) and not is_stuck:
            self._outbox.append((lane, lane.waiting, now))
            lane.queued += 1
            lane.waiting = None
            self._wake.set()

    def _give_back(self, fence: int | None) -> None:
        if fence is not None:
            self._fences.give_back(fence)
            if self._outbox:
                self._wake.set()

    async def _send_outbox(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._outbox and self._fences.free and self._may_send():
                await self._nats.send(b"".join(self._next_frames()))

    def _may_send(self) -> bool:
        return self._nats.is_connected and not self._is_held and self._is_leading()

    def _next_frames(self) -> Iterator[bytes]:
        """Takes messages from the outbox, notes them as sent and renders them; gives up what is stale by now."""
        now = time.monotonic()
        for _ in range(min(len(self._outbox), len(self._fences.free), _MOST_AT_ONCE)):
            lane, message, _ = self._outbox.popleft()
            lane.queued -= 1
            if message.is_pointless(now):
                self._give_up(lane, "stale")
            elif len(message.payload) > self._nats.max_payload:
                self._report(f"{message.subject}: not sent: {len(message.payload)} bytes are over the server's limit")
                self._give_up(lane, "refused")
            else:
                fence = self._fences.free.popleft()
                reply = f"{self._inbox}.{lane.number}.{lane.note_sent(message, now, fence)}"
                yield hpub(message.subject, reply, message.headers | self._fences.headers[fence], message.payload)

    def _on_ack(self, sent_as: bytes, data: bytes, status: str | None) -> None:
        number, _, serial = sent_as.partition(b".")
        lane, serial_number = self._by_number[int(number)], int(serial)
        sent = lane.sent.get(serial_number)
        if sent is None:
            return
        self._give_back(sent.fence)
        message = sent.message
        ack = parse_ack(data, status, with_sequence=REASSERTION_HEADER in message.headers)
        if ack.error:
            self._refused(message, ack)
            lane.sent[serial_number] = Sent(message, float("-inf"), None)
            return
        del lane.sent[serial_number]
        self._answered(lane, message, ack, sent.at, is_retry=False)

    def _answered(self, lane: Lane, message: Message, ack: Ack, sent_at: float, *, is_retry: bool) -> None:
        """The stream has it: since now, or since some time that the answer does not tell."""
        if ack.duplicate:
            self.counts["duplicate"] += 1
            message.on_duplicate(is_retry)
        else:
            self._stored(lane, message, ack, sent_at)
        self._settled.set()
        self._advance(lane)

    def _stored(self, lane: Lane, message: Message, ack: Ack, sent_at: float) -> None:
        lane.acked.append((message, sent_at, time.monotonic()))
        self.counts["stored"] += 1
        message.on_stored()
        if ack.sequence and self.on_reassertion is not None:
            self.on_reassertion(message, ack.sequence)

    def _refused(self, message: Message, ack: Ack) -> None:
        self.counts["refused"] += 1
        if ack.is_fenced:
            self._on_fenced()
        elif not ack.is_heard:
            self._report("messages are not stored: no stream listens")
        else:
            self._report(f"{message.subject}: not stored: {ack.error}")

    def _give_up(self, lane: Lane, why: str) -> None:
        self.counts[why] += 1
        self._settled.set()
        self._advance(lane)

    async def _watch_acks(self, tasks: asyncio.TaskGroup) -> None:
        """Deals with what nobody acknowledged in time, and lets traffic go on after an outage."""
        while True:
            await asyncio.sleep(_LOOK_EVERY_S)
            sent_before = time.monotonic() - _ACK_TIMEOUT_S
            for lane in self._by_number:
                for serial in lane.overdue(sent_before):
                    self._overdue(lane, serial, tasks)
                self._advance(lane)
            self.deliveries.take(self._by_number)
            if self._outbox:
                self._wake.set()

    def _overdue(self, lane: Lane, serial: int, tasks: asyncio.TaskGroup) -> None:
        is_newest = lane.is_newest(serial)
        message, sent_at, fence = lane.sent.pop(serial)
        self._give_back(fence)
        if is_newest:
            lane.is_retrying = True
            again = self._send_again(lane, message, sent_at, self._reign)
            tasks.create_task(again, name=f"bus-retry {message.subject}")
        else:
            self._give_up(lane, "superseded")

    async def _send_again(self, lane: Lane, message: Message, sent_at: float, reign: int) -> None:
        def is_pointless(_: object) -> bool:
            return reign != self._reign or lane.waiting is not None or message.is_pointless(time.monotonic())

        outcome: Ack | None = None
        try:
            async for attempt in AsyncRetrying(
                retry=retry_if_exception_type(_NotStored), wait=_full_jitter, stop=is_pointless, reraise=True
            ):
                with attempt:
                    self.counts["retried"] += 1
                    outcome = await self._ask(message, reign)
        except _NotStored as last:
            if reign == self._reign and self._is_leading():
                self._report(f"{message.subject}: given up: {last}")
        if reign != self._reign:
            return
        lane.is_retrying = False
        if outcome is None:
            self._give_up(lane, "superseded" if lane.waiting is not None else "stale")
        else:
            self._answered(lane, message, outcome, sent_at, is_retry=True)

    async def _ask(self, message: Message, reign: int) -> Ack:
        if not self._nats.is_connected:
            raise _NotStored("NATS is not connected")
        fence = await self._fences.take()
        try:
            if reign != self._reign or not self._may_send():
                raise _NotStored("it is not ours to send")
            if message.is_pointless(time.monotonic()):
                raise _NotStored("it is stale")
            headers = message.headers | self._fences.headers[fence]
            reply = await ask(self._nats, message.subject, message.payload, timeout_s=_ACK_TIMEOUT_S, headers=headers)
        except (NatsError, TimeoutError) as error:
            raise _NotStored(f"{type(error).__name__}: {error}".removesuffix(": ")) from None
        finally:
            self._give_back(fence)
        status = (reply.headers or {}).get("Status")
        ack = parse_ack(reply.data, status, with_sequence=REASSERTION_HEADER in message.headers)
        if ack.error:
            if reign == self._reign:
                self._refused(message, ack)
            raise _NotStored(ack.error)
        return ack

    def _report(self, what: str) -> None:
        if what not in self._reported and len(self._reported) < _MOST_REPORTS:
            self._reported.add(what)
            _log.warning("%s", what)


def _nothing() -> None:
    """Nobody wants to know."""
