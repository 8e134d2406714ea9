"""The one way to read history: in order, once, in bounded memory, over restarts of the server."""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import AsyncGenerator, Iterable
from typing import Final

from nats.aio.client import Client
from nats.aio.msg import Msg

from drift_schemas import (
    LAST_SEQUENCE_HEADER,
    SEQUENCE_HEADER,
    STORED_AT_HEADER,
    STREAM_HEADER,
    SUBJECT_HEADER,
    TIME_STAMP_HEADER,
    Topology,
)
from drift_subscribers.history.errors import EmptyHistory, HistoryInterrupted
from drift_subscribers.history.inquiry import Inquiry
from drift_subscribers.history.selection import Selection, StoredMessage
from drift_subscribers.history.span import PATIENCE_S, Span, find_span
from drift_subscribers.server_clock import parse_time_stamp

__all__ = ["BATCH", "read_history", "read_span"]

BATCH: Final = 1000
_BATCH_BYTES: Final = 8 * 1024 * 1024
_AT_ONCE: Final = 32
_FEWEST: Final = 8
_END_OF_BATCH: Final = "204"
_NOT_FOUND: Final = "404"
_PENDING_HEADER: Final = "Nats-Num-Pending"
_ADDED_BY_THE_READ: Final = frozenset(
    {STREAM_HEADER, SUBJECT_HEADER, SEQUENCE_HEADER, LAST_SEQUENCE_HEADER, TIME_STAMP_HEADER, _PENDING_HEADER}
)


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

    At most about two batches are in memory. What is stored after the call is not part of it. A server that
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
    reader = _SpanReader(client, topology, selection, span, batch=batch, patience_s=patience_s)
    async with reader.inquiry:
        while (messages := await reader.next_batch()) is not None:
            if messages:
                yield messages


class _Cursor:
    """How far one subject, or one wildcard, was read."""

    def __init__(self, subject: str, first_sequence: int) -> None:
        self.subject = subject
        self.known_to = first_sequence - 1
        """What it has up to this sequence was read."""
        self.waiting: deque[tuple[int, Msg]] = deque()


class _SpanReader:
    """Reads each subject of the selection by batched direct gets, and merges them by sequence.

    A direct get needs no consumer: reading changes nothing on the server, and needs no right to.
    """

    def __init__(
        self, client: Client, topology: Topology, selection: Selection, span: Span, *, batch: int, patience_s: float
    ) -> None:
        self.inquiry = Inquiry(client, topology.api, patience_s=patience_s)
        self._names = topology.subjects
        self._selection = selection
        self._span = span
        self._batch = batch
        self._cursors = [_Cursor(subject, span.first_sequence) for subject in selection.subjects(topology.subjects)]
        self._begun = self._finished = False

    async def next_batch(self) -> list[StoredMessage] | None:
        """The next messages, maybe none of the wanted sort; ``None`` at the end."""
        if self._finished:
            return None
        if not self._begun:
            await self._check_stream()
            self._begun = True
        await self._fill()
        messages = self._merged()
        if not any(cursor.waiting for cursor in self._cursors) and self._known_to() >= self._span.last_sequence:
            await self._check_stream()
            self._finished = True
        return [stored for stored in map(self._stored, messages) if self._selection.takes(stored)]

    async def _check_stream(self) -> None:
        """Makes sure that this is still the stream whose sequences the span means."""
        info = await self.inquiry.stream_info(self._span.stream)
        if info["created"] != self._span.created:
            raise HistoryInterrupted(f"the stream {self._span.stream} was made anew while it was read: begin again")

    async def _fill(self) -> None:
        """Reads on where nothing waits any more."""
        last = self._span.last_sequence
        empty = [cursor for cursor in self._cursors if not cursor.waiting and cursor.known_to < last]
        room = 2 * self._batch - sum(len(cursor.waiting) for cursor in self._cursors)
        share = min(self._batch, max(_FEWEST, room // max(1, len(empty))))
        for at in range(0, len(empty), _AT_ONCE):
            await asyncio.gather(*(self._read(cursor, share) for cursor in empty[at : at + _AT_ONCE]))

    async def _read(self, cursor: _Cursor, limit: int) -> None:
        wish = {
            "seq": cursor.known_to + 1,
            "next_by_subj": cursor.subject,
            "batch": limit,
            "max_bytes": max(_BATCH_BYTES // len(self._cursors), 128 * 1024),
        }
        subject = self.inquiry.where.direct_get(self._span.stream)
        try:
            *messages, end = await self.inquiry.ask_all(subject, json.dumps(wish).encode())
        except HistoryInterrupted:
            await self._check_stream()  # nobody answers for a stream that was deleted, either
            raise
        status, pending = _header(end, "Status"), _header(end, _PENDING_HEADER)
        if status not in (_END_OF_BATCH, _NOT_FOUND):
            why = _header(end, "Description") or f"status {status}"
            raise HistoryInterrupted(f"the stream {self._span.stream} cannot be read: {why}")
        for sequence, message in _unbroken(messages):
            if sequence > self._span.last_sequence:
                break
            cursor.waiting.append((sequence, message))
            cursor.known_to = sequence
        if (
            not messages
            or _sequence(messages[-1]) > self._span.last_sequence
            or (pending == "0" and _whole(messages, end))
        ):
            cursor.known_to = max(cursor.known_to, self._span.last_sequence)

    def _known_to(self) -> int:
        return min(cursor.known_to for cursor in self._cursors)

    def _merged(self) -> list[Msg]:
        """What waits up to the sequence that is known of every subject, in order, at most a batch."""
        horizon = self._known_to()
        ready = [
            (sequence, message)
            for cursor in self._cursors
            for sequence, message in cursor.waiting
            if sequence <= horizon
        ]
        ready.sort(key=lambda place: place[0])
        taken = ready[: self._batch]
        if taken:
            bound = taken[-1][0]
            for cursor in self._cursors:
                while cursor.waiting and cursor.waiting[0][0] <= bound:
                    cursor.waiting.popleft()
        return [message for _, message in taken]

    def _stored(self, message: Msg) -> StoredMessage:
        told = message.headers or {}
        headers = {name: value for name, value in told.items() if name not in _ADDED_BY_THE_READ}
        subject, first = told[SUBJECT_HEADER], headers.get(STORED_AT_HEADER)
        kind, token = self._names.parse(subject) or (None, "")
        stored_at_ns = int(first) if first else parse_time_stamp(told[TIME_STAMP_HEADER])
        return StoredMessage(_sequence(message), stored_at_ns, subject, kind, token, headers, message.data)


def _unbroken(messages: Iterable[Msg]) -> Iterable[tuple[int, Msg]]:
    """The messages of one answer with their sequences, up to the first that was lost on its way."""
    before = 0
    for message in messages:
        if _header(message, LAST_SEQUENCE_HEADER) != str(before):
            return
        before = _sequence(message)
        yield before, message


def _whole(messages: list[Msg], end: Msg) -> bool:
    """No message was lost on its way."""
    received = list(_unbroken(messages))
    return len(received) == len(messages) and _header(end, LAST_SEQUENCE_HEADER) == str(received[-1][0])


def _header(message: Msg, name: str) -> str:
    return (message.headers or {}).get(name, "")


def _sequence(message: Msg) -> int:
    return int(_header(message, SEQUENCE_HEADER))
