"""Which sequences a selection means, found by asking the stream, before anything is read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from nats.aio.client import Client
from nats.aio.msg import Msg

from drift_schemas import KINDS, SEQUENCE_HEADER, STORED_AT_HEADER, SUBJECT_HEADER, TIME_STAMP_HEADER, Topology
from drift_subscribers.history.errors import EmptyHistory, HistoryPurged
from drift_subscribers.history.inquiry import Inquiry
from drift_subscribers.history.moments import format_moment
from drift_subscribers.history.selection import Selection
from drift_subscribers.server_clock import parse_time_stamp

__all__ = ["PATIENCE_S", "Span", "find_span"]

PATIENCE_S: Final = 30.0


@dataclass(frozen=True, slots=True)
class Span:
    """A range of one stream's sequences, both ends included.

    Attributes:
        stream: The stream's name.
        created: When the stream was made, as the server says it: another one of that name is another history.
        first_sequence: Where to begin.
        last_sequence: Where to end; nothing stored later is part of it.
        first_ns: When the first selected message was stored, in nanoseconds since the epoch.
    """

    stream: str
    created: str
    first_sequence: int
    last_sequence: int
    first_ns: int


async def find_span(
    client: Client,
    topology: Topology,
    selection: Selection,
    *,
    stream: str | None = None,
    patience_s: float = PATIENCE_S,
) -> Span:
    """Turns a selection into sequences; the same stream content gives the same answer.

    Args:
        client: A connection; it needs no rights but those of a reader.
        topology: Names of stream and subjects.
        selection: What is wanted.
        stream: Another stream than the topology's, with the same subjects, such as a longer kept copy.
        patience_s: How long to ask again while the server does not answer.

    Raises:
        NoHistory: there is no such stream.
        EmptyHistory: the stream holds nothing of it.
        HistoryPurged: the stream does not reach back so far.
        HistoryInterrupted: the server does not answer.
    """
    async with Inquiry(client, patience_s=patience_s) as inquiry:
        return await _Finder(inquiry, topology, selection, stream or topology.stream).find()


class _Finder:
    def __init__(self, inquiry: Inquiry, topology: Topology, selection: Selection, stream: str) -> None:
        self._inquiry = inquiry
        self._names = topology.subjects
        self._selection = selection
        self._stream = stream

    async def find(self) -> Span:
        info = await self._inquiry.stream_info(self._stream)
        newest = int(info["state"]["last_seq"])
        selection = self._selection
        oldest = await self._first_of([self._names.of_kind(kind) for kind in KINDS], 1)
        if oldest is None:
            raise EmptyHistory(f"the stream {self._stream} holds no event")
        await self._check_reach(oldest)
        first = selection.first_sequence or 1
        last = min(newest, selection.last_sequence or newest)
        if selection.since_ns is not None:
            first = max(first, await self._first_at(selection.since_ns, newest))
        if selection.until_ns is not None:
            last = min(last, await self._first_at(selection.until_ns, newest) - 1)
        found = await self._first_of(selection.subjects(self._names), first) if first <= last else None
        if found is None or _sequence(found) > last:
            begin, end = format_moment(_stored_at_ns(oldest)), await self._end(newest)
            raise EmptyHistory(
                f"nothing in the stream {self._stream} of {selection.describe()}: it holds {begin} to {end}, "
                f"sequences {_sequence(oldest)} to {newest}"
            )
        return Span(self._stream, str(info["created"]), _sequence(found), last, _stored_at_ns(found))

    async def _check_reach(self, oldest: Msg) -> None:
        """Refuses a beginning before the oldest event: what was before is gone, or never was here."""
        since_ns, first = self._selection.since_ns, self._selection.first_sequence
        begins_at_ns, sequence = _stored_at_ns(oldest), _sequence(oldest)
        is_before = since_ns is not None and since_ns < begins_at_ns
        if first is not None and 1 < first < sequence:
            there = await self._inquiry.next_stored(self._stream, first, self._names.everything)
            is_before = is_before or there is None or _sequence(there) != first
        if is_before:
            raise HistoryPurged(
                f"the history in {self._stream} begins at {format_moment(begins_at_ns)} (sequence {sequence}); "
                "what was before is not there, or not any more: begin there",
                begins_at_ns,
                sequence,
            )

    async def _first_at(self, moment_ns: int, newest: int) -> int:
        """Sequence of the first message stored at that moment or later; ``newest + 1`` without one."""
        low, high, found = 1, newest, newest + 1
        while low <= high:
            middle = (low + high) // 2
            message = await self._next_dated(middle)
            if message is None or _sequence(message) > high:
                high = middle - 1
            elif _stored_at_ns(message) >= moment_ns:
                found, high = _sequence(message), middle - 1
            else:
                low = _sequence(message) + 1
        return found

    async def _next_dated(self, sequence: int) -> Msg | None:
        """The next message whose time is that of the history; an epoch is dated by the stream that holds it."""
        message = await self._inquiry.next_stored(self._stream, sequence, self._names.everything)
        while message is not None and _subject(message) == self._names.epoch:
            message = await self._inquiry.next_stored(self._stream, _sequence(message) + 1, self._names.everything)
        return message

    async def _first_of(self, subjects: list[str], sequence: int) -> Msg | None:
        found = [await self._inquiry.next_stored(self._stream, sequence, subject) for subject in subjects]
        return min((message for message in found if message is not None), key=_sequence, default=None)

    async def _end(self, newest: int) -> str:
        message = await self._inquiry.next_stored(self._stream, newest, self._names.everything)
        return "now" if message is None else format_moment(_stored_at_ns(message))


def _sequence(message: Msg) -> int:
    return int((message.headers or {})[SEQUENCE_HEADER])


def _subject(message: Msg) -> str:
    return (message.headers or {}).get(SUBJECT_HEADER, "")


def _stored_at_ns(message: Msg) -> int:
    headers = message.headers or {}
    first = headers.get(STORED_AT_HEADER)
    return int(first) if first else parse_time_stamp(headers[TIME_STAMP_HEADER])
