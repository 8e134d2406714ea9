"""The one way to read history: in order, once, in bounded memory, over restarts of the server."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncGenerator
from contextlib import suppress
from typing import Any, Final, NamedTuple

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as NatsError

from drift_schemas import STORED_AT_HEADER, Topology
from drift_subscribers.history.errors import EmptyHistory, HistoryInterrupted
from drift_subscribers.history.inquiry import Inquiry, JetStreamRefusal
from drift_subscribers.history.selection import Selection, StoredMessage
from drift_subscribers.history.span import PATIENCE_S, Span, find_span

__all__ = ["BATCH", "read_history", "read_span"]

BATCH: Final = 1000
_BATCH_BYTES: Final = 8 * 1024 * 1024
_SILENCE_S: Final = 5.0
_LOOK_S: Final = 0.5
_INACTIVE_NS: Final = 60 * 1_000_000_000


async def read_history(
    client: Client,
    topology: Topology,
    selection: Selection,
    *,
    stream: str | None = None,
    batch: int = BATCH,
    patience_s: float = PATIENCE_S,
) -> AsyncGenerator[list[StoredMessage], None]:
    """Yields what ``selection`` means now, oldest first, in lists of at most ``batch`` messages.

    At most two batches (and 16 MiB) are in memory. What is stored after the call is not part of it. A server that
    goes away is waited for, and the reading goes on where it was. Close the iterator (``contextlib.aclosing``) when
    you leave early.

    Args:
        client: A connection that reconnects; it stays the caller's.
        topology: Names of stream and subjects.
        selection: What is wanted.
        stream: Another stream than the topology's, with the same subjects.
        batch: Messages in one list, at most.
        patience_s: How long a server that does not answer is waited for.

    Raises:
        NoHistory, EmptyHistory, HistoryPurged: there is no such history, and why.
        HistoryInterrupted: the server stayed away, or the stream was made anew.
    """
    span = await find_span(client, topology, selection, stream=stream, patience_s=patience_s)
    is_empty = True
    async for messages in read_span(client, topology, selection, span, batch=batch, patience_s=patience_s):
        is_empty = False
        yield messages
    if is_empty:
        raise EmptyHistory(f"nothing in the stream {span.stream} of {selection.describe()} but re-assertions")


async def read_span(
    client: Client,
    topology: Topology,
    selection: Selection,
    span: Span,
    *,
    batch: int = BATCH,
    patience_s: float = PATIENCE_S,
) -> AsyncGenerator[list[StoredMessage], None]:
    """Yields the messages of ``span`` that ``selection`` takes, as :func:`read_history` does; maybe none.

    The span's bounds hold, not those of the selection: a reading resumes from where it was with
    ``dataclasses.replace(span, first_sequence=…)``.

    Raises:
        HistoryInterrupted: the server stayed away, or the stream was made anew.
    """
    puller = _Puller(client, topology, selection, span, batch=batch, patience_s=patience_s)
    async with puller.inquiry:
        try:
            while (messages := await puller.next_batch()) is not None:
                if messages:
                    yield messages
        finally:
            await puller.close()


class _Place(NamedTuple):
    """What a delivery's reply subject says."""

    sequence: int
    number: int
    stored_at_ns: int
    pending: int


class _Puller:
    """Pulls from a consumer that lives in the server's memory; makes another one when it is lost."""

    def __init__(
        self, client: Client, topology: Topology, selection: Selection, span: Span, *, batch: int, patience_s: float
    ) -> None:
        self.inquiry = Inquiry(client, patience_s=patience_s, on_delivery=self._on_delivery)
        self._names = topology.subjects
        self._selection = selection
        self._span = span
        self._batch = batch
        self._next = span.first_sequence
        self._consumer = ""
        self._number = 0
        self._arrived: list[Msg] = []
        self._ended = asyncio.Event()
        self._status = ""
        self._asked_at = 0.0
        self._moved_at = time.monotonic()
        self._finished = False

    async def next_batch(self) -> list[StoredMessage] | None:
        """The next messages, maybe none of the wanted sort; ``None`` at the end."""
        if self._finished:
            return None
        if not self._consumer and not await self._begin():
            return None
        await self._answered()
        arrived, status = self._arrived, self._status
        self._arrived = []
        messages = self._in_order(arrived)
        self._check_progress(len(arrived))
        if not self._finished:
            if self._consumer and (len(arrived) >= self._batch or status == "409"):
                await self._ask()
            else:
                await self._forget()
        return messages

    async def close(self) -> None:
        """Gives up the consumer; the server forgets an abandoned one by itself."""
        if self._consumer and self.inquiry.client.is_connected:
            with suppress(NatsError):
                await self.inquiry.client.publish(f"$JS.API.CONSUMER.DELETE.{self._span.stream}.{self._consumer}")

    async def _begin(self) -> bool:
        """Makes a consumer that begins at the next sequence; tells whether there is anything for it."""
        stream = self._span.stream
        info = await self.inquiry.stream_info(stream)
        if info["created"] != self._span.created:
            raise HistoryInterrupted(f"the stream {stream} was made anew while it was read: begin again")
        config: dict[str, Any] = {
            "deliver_policy": "by_start_sequence",
            "opt_start_seq": self._next,
            "ack_policy": "none",
            "filter_subjects": self._selection.subjects(self._names),
            "mem_storage": True,
            "num_replicas": 1,
            "inactive_threshold": _INACTIVE_NS,
        }
        try:
            made = await self.inquiry.api(f"CONSUMER.CREATE.{stream}", {"stream_name": stream, "config": config})
        except JetStreamRefusal as refusal:
            raise HistoryInterrupted(f"the stream {stream} cannot be read: {refusal}") from None
        self._consumer, self._number = made["name"], 0
        if made["num_pending"] == 0:
            return False
        await self._ask()
        return True

    async def _ask(self) -> None:
        self._ended.clear()
        self._status = ""
        wish = {"batch": self._batch, "max_bytes": _BATCH_BYTES, "no_wait": True}
        subject = f"$JS.API.CONSUMER.MSG.NEXT.{self._span.stream}.{self._consumer}"
        self._asked_at = time.monotonic()
        with suppress(NatsError):
            await self.inquiry.client.publish(subject, json.dumps(wish).encode(), reply=self.inquiry.data_inbox)

    async def _answered(self) -> None:
        """Waits until the request is answered in full, or nothing came for a while."""
        while True:
            before = len(self._arrived)
            with suppress(TimeoutError):
                async with asyncio.timeout(_LOOK_S):
                    await self._ended.wait()
            if self._ended.is_set():
                return
            if len(self._arrived) > before:
                self._asked_at = time.monotonic()
            is_silent = time.monotonic() - self._asked_at > _SILENCE_S
            if is_silent or not self.inquiry.client.is_connected:
                return

    def _check_progress(self, arrived: int) -> None:
        """Gives up on a server that answers, but delivers nothing."""
        now = time.monotonic()
        if arrived:
            self._moved_at = now
        elif now - self._moved_at > self.inquiry.patience_s:
            what = f"the stream {self._span.stream} delivers nothing after sequence {self._next - 1}"
            raise HistoryInterrupted(f"{what}, for {self.inquiry.patience_s:g} s")

    async def _forget(self) -> None:
        """Leaves a consumer that has nothing more, or that was lost, and begins anew after what came."""
        await self.close()
        self._consumer = ""

    def _on_delivery(self, message: Msg) -> None:
        if message.reply:
            if f".{self._consumer}." in message.reply:
                self._arrived.append(message)
                if len(self._arrived) >= self._batch:
                    self._ended.set()
            return
        self._status = (message.headers or {}).get("Status", "")
        self._ended.set()

    def _in_order(self, arrived: list[Msg]) -> list[StoredMessage]:
        """What arrived without a gap and inside the span; a gap makes us begin anew from there."""
        messages: list[StoredMessage] = []
        for message in arrived:
            place = _place(message.reply)
            if place.sequence > self._span.last_sequence:
                self._finished = True
                break
            if place.number != self._number + 1:
                self._consumer = ""
                break
            self._number = place.number
            self._next = place.sequence + 1
            stored = self._stored(message, place)
            if self._selection.takes(stored):
                messages.append(stored)
            if place.pending == 0 or place.sequence == self._span.last_sequence:
                self._finished = True
        return messages

    def _stored(self, message: Msg, place: _Place) -> StoredMessage:
        headers = message.headers or {}
        first = headers.get(STORED_AT_HEADER)
        kind, token = self._names.parse(message.subject) or (None, "")
        stored_at_ns = int(first) if first else place.stored_at_ns
        return StoredMessage(place.sequence, stored_at_ns, message.subject, kind, token, headers, message.data)


def _place(reply: str) -> _Place:
    """Reads ``$JS.ACK.[<domain>.<account>.]<stream>.<consumer>.<tries>.<sequence>.<number>.<time>.<pending>``."""
    tokens = reply.split(".")
    at = 5 if len(tokens) == 9 else 7
    return _Place(*(int(token) for token in tokens[at : at + 4]))
