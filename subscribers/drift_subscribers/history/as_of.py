"""The buckets as of a moment, and what happened to them from then on."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable
from contextlib import aclosing
from dataclasses import replace

from nats.aio.client import Client

from drift_schemas import Kind, Topology
from drift_subscribers.history.index import StreamIndex
from drift_subscribers.history.inquiry import Inquiry
from drift_subscribers.history.reader import read_span
from drift_subscribers.history.selection import Selection
from drift_subscribers.history.span import PATIENCE_S, Span, check_reach
from drift_subscribers.history.timeline import HOLD_NS, TTL_NS, Tick, TickSort, Timeline

__all__ = ["Present", "as_of", "read_ticks"]


class Present:
    """The values that are present, moved forward tick by tick."""

    def __init__(self) -> None:
        self._held: dict[tuple[Kind, str], Tick] = {}

    def apply(self, ticks: Iterable[Tick]) -> None:
        """Takes ticks in their order."""
        for tick in ticks:
            if tick.sort is TickSort.EXPIRY:
                self._held.pop((tick.kind, tick.token), None)
            else:
                self._held[tick.kind, tick.token] = tick

    def at(self, moment_ns: int) -> list[Tick]:
        """The values that are still present at a moment after the last tick, by kind and token."""
        return [self._held[key] for key in sorted(self._held) if self._held[key].expires_at_ns > moment_ns]


async def as_of(
    client: Client,
    topology: Topology,
    moment_ns: int,
    selection: Selection | None = None,
    *,
    stream: str | None = None,
    patience_s: float = PATIENCE_S,
) -> list[Tick]:
    """What the buckets held at a moment: one tick per key, by kind and token, with its exact payload.

    A key is there when its last change or confirmation before the moment is within its TTL. Confirmations come from
    the publisher's journal; without one, from the re-assertions that the stream still holds, so that in an old history
    only what had just changed is there.

    Args:
        client: A connection of a reader.
        topology: Names of stream and subjects.
        moment_ns: Nanoseconds since the epoch; what was stored before it counts.
        selection: Kinds and markets; all when ``None``. Its bounds don't matter.
        stream: Another stream than the topology's, with the same subjects.
        patience_s: How long a server that does not answer is waited for.

    Raises:
        NoHistory, EmptyHistory, HistoryPurged: the stream does not reach to that moment.
        HistoryInterrupted: the server stayed away.
    """
    wanted = selection or Selection()
    await check_reach(client, topology, moment_ns, stream=stream, patience_s=patience_s)
    present = Present()
    ticks = read_ticks(
        client, topology, wanted, begin_ns=moment_ns, until_ns=moment_ns, stream=stream, patience_s=patience_s
    )
    async with aclosing(ticks):
        async for some in ticks:
            present.apply(some)
    return present.at(moment_ns)


async def read_ticks(
    client: Client,
    topology: Topology,
    selection: Selection,
    *,
    begin_ns: int,
    until_ns: int | None,
    stream: str | None = None,
    patience_s: float = PATIENCE_S,
) -> AsyncGenerator[list[Tick], None]:
    """Yields ticks before ``until_ns``, beginning so long before ``begin_ns`` that the values present then are known.

    The selection gives kinds and markets; its bounds don't matter. Without ``until_ns`` it ends with the last message
    that the stream holds now.

    Raises:
        NoHistory: there is no such stream.
        HistoryInterrupted: the server stayed away, or the stream was made anew.
    """
    wanted = Selection(kinds=selection.kinds, markets=selection.markets, reassertions=True, journal=True)
    async with Inquiry(client, topology.api, patience_s=patience_s) as inquiry:
        index = StreamIndex(inquiry, topology, stream)
        await index.open()
        first = await index.first_at(begin_ns - max(TTL_NS[kind] for kind in wanted.kinds))
        last = index.newest if until_ns is None else await index.first_at(until_ns + HOLD_NS) - 1
        events = replace(wanted, journal=False).subjects(topology.subjects)
        values = await index.last_values(events, first - 1)
    timeline = Timeline(values)
    yield timeline.fresh()
    span = Span(index.stream, index.created, first, last, begin_ns, begin_ns, until_ns)
    batches = read_span(client, topology, wanted, span, patience_s=patience_s)
    async with aclosing(batches):
        async for messages in batches:
            yield [tick for tick in timeline.feed(messages) if until_ns is None or tick.at_ns < until_ns]
    yield timeline.finish(timeline.newest_ns + 1 if until_ns is None else until_ns)
