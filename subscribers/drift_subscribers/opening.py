"""Opening a stream: the buffer that its policy asks for, and the place where it begins."""

from __future__ import annotations

from collections.abc import Callable, Collection
from datetime import UTC, datetime
from typing import Any

from drift_subscribers.buffers import Buffer, ConflatingBuffer, DroppingBuffer
from drift_subscribers.deliveries import Delivery, Envelope, Inspector
from drift_subscribers.direct import Batch, DirectReader
from drift_subscribers.lane import Lane
from drift_subscribers.lossless import LosslessBuffer
from drift_subscribers.options import Markets
from drift_subscribers.policies import Conflate, DropOldest, Lossless, Policy
from drift_subscribers.streams import EventStream

__all__ = ["named_markets", "open_stream"]


def named_markets(market: Markets) -> tuple[str, ...] | None:
    """The names that a caller gives, each once; ``None`` for every market.

    Raises:
        ValueError: an empty list, which names no market.
    """
    if market is None:
        return None
    names = (market,) if isinstance(market, str) else tuple(dict.fromkeys(market))
    if not names:
        raise ValueError("market=[]: name at least one market, or None for every one")
    return names


def open_stream(
    lane: Lane,
    tokens: tuple[str, ...] | None,
    *,
    policy: Policy,
    since: int | datetime | None,
    current: bool,
    followed: Collection[str] | None,
    reader: DirectReader,
    inspector: Inspector,
    clock: Callable[[], float],
) -> EventStream[Any]:
    """Makes a stream and lets it hear its lane; see ``DriftFeed.stream`` for the arguments."""
    lossless = not isinstance(policy, Conflate | DropOldest)
    if since is not None and (not lossless or current):
        raise ValueError("since= needs policy=Lossless(), and goes without current=True")
    if isinstance(since, datetime) and since.tzinfo is None:
        raise ValueError("since= as a datetime needs a time zone")
    buffer: Buffer
    if isinstance(policy, Conflate):
        buffer = ConflatingBuffer()
    elif isinstance(policy, DropOldest):
        buffer = DroppingBuffer(policy.capacity)
    else:
        wanted = followed if tokens is None else tokens
        subject = lane.subject(tokens[0] if tokens is not None and len(tokens) == 1 else None)
        buffer = _lossless(policy, lane, wanted, subject, since, reader, inspector)
    stream: EventStream[Any] = EventStream(buffer, clock)
    if current:
        for delivery in _current(lane, tokens, clock()):
            buffer.put_first(delivery)
    lane.audience.add(stream, tokens, lossless=lossless)
    return stream


def _lossless(
    policy: Lossless,
    lane: Lane,
    wanted: Collection[str] | None,
    subject: str,
    since: int | datetime | None,
    reader: DirectReader,
    inspector: Inspector,
) -> LosslessBuffer:
    places = lane.places()
    now = max((place.sequence for place in places.values()), default=lane.baseline)

    async def read(token: str | None, sequence: int, limit: int) -> Batch:
        return await reader.following(subject if token is None else lane.subject(token), sequence, limit=limit)

    async def begin() -> int:
        """The sequence that ``since`` means; what comes next when nothing was stored since."""
        if isinstance(since, datetime):
            return await reader.since(subject, _rfc3339(since)) or now + 1
        return since or 1

    return LosslessBuffer(
        policy.capacity,
        read,
        inspector,
        wanted=wanted,
        accepted=places if since is None else {},
        floor=lane.baseline,
        begin=None if since is None else begin,
    )


def _current(lane: Lane, tokens: tuple[str, ...] | None, now: float) -> list[Delivery]:
    return [
        Delivery(Envelope(lane.kind, name, lane.last_sequence(name), 0, entry.stamp_ns, False), entry.event, now)
        for token in (tokens or (None,))
        for name, entry in lane.memory.fresh_events(token)
    ]


def _rfc3339(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
