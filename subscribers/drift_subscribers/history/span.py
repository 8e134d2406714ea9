"""Which sequences a selection means, found by asking the stream, before anything is read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from nats.aio.client import Client

from drift_schemas import KINDS, Subjects, Topology
from drift_subscribers.history.errors import EmptyHistory, HistoryPurged
from drift_subscribers.history.index import StreamIndex
from drift_subscribers.history.inquiry import Inquiry
from drift_subscribers.history.moments import format_moment
from drift_subscribers.history.selection import Selection, StoredMessage

__all__ = ["PATIENCE_S", "Span", "check_reach", "find_span"]

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
        begin_ns: Where replayed time begins: what the selection says, or else ``first_ns``.
        until_ns: Where it ends, not included; ``None``: with the last message.
    """

    stream: str
    created: str
    first_sequence: int
    last_sequence: int
    first_ns: int
    begin_ns: int
    until_ns: int | None


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
    names = topology.subjects
    async with Inquiry(client, topology.api, patience_s=patience_s) as inquiry:
        index = StreamIndex(inquiry, topology, stream)
        await index.open()
        oldest = await _oldest_within_reach(index, names, selection)
        first = selection.first_sequence or 1
        last = min(index.newest, selection.last_sequence or index.newest)
        if selection.since_ns is not None:
            first = max(first, await index.first_at(selection.since_ns))
        if selection.until_ns is not None:
            last = min(last, await index.first_at(selection.until_ns) - 1)
        found = await index.first_of(selection.subjects(names), first) if first <= last else None
        if found is None or found.sequence > last:
            newest = await index.first_of([names.everything], index.newest)
            end = "now" if newest is None else format_moment(newest.stored_at_ns)
            raise EmptyHistory(
                f"nothing in the stream {index.stream} of {selection.describe()}: it holds "
                f"{format_moment(oldest.stored_at_ns)} to {end}, sequences {oldest.sequence} to {index.newest}"
            )
        following = await index.first_of([names.everything], last + 1)
        until_ns = selection.until_ns
        if until_ns is None and following is not None and selection.last_sequence is not None:
            until_ns = following.stored_at_ns
        begin_ns = found.stored_at_ns if selection.since_ns is None else selection.since_ns
        return Span(index.stream, index.created, found.sequence, last, found.stored_at_ns, begin_ns, until_ns)


async def check_reach(
    client: Client, topology: Topology, moment_ns: int, *, stream: str | None = None, patience_s: float = PATIENCE_S
) -> None:
    """Makes sure that the stream had begun at that moment.

    Raises:
        NoHistory, EmptyHistory, HistoryPurged, HistoryInterrupted: as :func:`find_span`.
    """
    async with Inquiry(client, topology.api, patience_s=patience_s) as inquiry:
        index = StreamIndex(inquiry, topology, stream)
        await index.open()
        await _oldest_within_reach(index, topology.subjects, Selection(since_ns=moment_ns))


async def _oldest_within_reach(index: StreamIndex, names: Subjects, selection: Selection) -> StoredMessage:
    """The stream's oldest event; refuses a selection that begins before: what was there is gone, or never was here."""
    oldest = await index.first_of([names.of_kind(kind) for kind in KINDS], 1)
    if oldest is None:
        raise EmptyHistory(f"the stream {index.stream} holds no event")
    since_ns, first = selection.since_ns, selection.first_sequence
    is_before = since_ns is not None and since_ns < oldest.stored_at_ns
    if first is not None and 1 < first < oldest.sequence:
        there = await index.first_of([names.everything], first)
        is_before = is_before or there is None or there.sequence != first
    if is_before:
        raise HistoryPurged(
            f"the history in {index.stream} begins at {format_moment(oldest.stored_at_ns)} (sequence "
            f"{oldest.sequence}); what was before is not there, or not any more: begin there",
            oldest.stored_at_ns,
            oldest.sequence,
        )
    return oldest
