"""What happened to the buckets, in order: changes, confirmations and expiries, from messages and the journal."""

from __future__ import annotations

import heapq
import itertools
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping
from enum import Enum
from typing import Final, NamedTuple

from drift_schemas import Confirmation, Kind, MessageError, bucket_ttl_s, decode_confirmations, refreshed
from drift_subscribers.history.selection import StoredMessage

__all__ = ["HOLD_NS", "TTL_NS", "Tick", "TickSort", "Timeline"]

HOLD_NS: Final = 2_000_000_000
"""How long after a re-assertion its line in the journal may be stored, in nanoseconds, and still find its place."""

TTL_NS: Final[Mapping[Kind, int]] = {
    kind: bucket_ttl_s(kind) * 1_000_000_000 for kind in ("funding", "price", "market", "spot")
}
"""How long a value stays without a confirmation, in nanoseconds, by kind."""

_MOST_CONFIRMED: Final = 100_000
_Key = tuple[Kind, str]


class TickSort(Enum):
    """What happens to a key."""

    CHANGE = "change"
    """It has a new value."""
    CONFIRMATION = "confirmation"
    """Its value did not change, and is fresh again."""
    EXPIRY = "expiry"
    """Nobody confirmed it within its TTL: it is gone."""


class Tick(NamedTuple):
    """One thing that happens to one key.

    Attributes:
        at_ns: When, in nanoseconds since the epoch, by the stream's clock.
        sort: What happens.
        kind: The key's kind.
        token: Its market's subject token.
        sequence: Where the stream stored the message; of an expiry: the message that nobody confirmed.
        headers: The message's headers; those of the confirmed value where the re-assertion itself is not in the
            stream any more.
        payload: The event; empty of an expiry.
    """

    at_ns: int
    sort: TickSort
    kind: Kind
    token: str
    sequence: int
    headers: Mapping[str, str]
    payload: bytes

    @property
    def expires_at_ns(self) -> int:
        """When the value runs out unless it is confirmed, in nanoseconds since the epoch."""
        return self.at_ns + TTL_NS[self.kind]


class _Item(NamedTuple):
    """A message or a journal line that waits for its turn."""

    sequence: int
    number: int
    at_ns: int
    what: StoredMessage | Confirmation


class Timeline:
    """Turns messages, as they are read, into ticks in the order of the stream's sequences.

    A re-assertion leaves the stream after its TTL; the journal tells its sequence and what was new in it. So messages
    are held back for :data:`HOLD_NS` of stream time, until the journal has spoken. A line that comes later takes
    effect where it stands.

    Args:
        values: Last values from before, fresh or not: what a confirmation may refer to.
    """

    def __init__(self, values: Iterable[StoredMessage] = ()) -> None:
        self.refused = 0
        """Journal messages and values that could not be read."""
        self._values: dict[_Key, Tick] = {}
        self._fresh: dict[_Key, Tick] = {}
        self._deadlines: list[tuple[int, int, _Key]] = []
        self._waiting: list[_Item] = []
        self._places: list[tuple[int, int]] = []
        self._confirmed: set[int] = set()
        self._numbers = itertools.count()
        self._released = 0
        for value in sorted(values):
            self._take(value)
        self._release(2**63, 2**63)

    def fresh(self) -> list[Tick]:
        """The values that are present after the last tick returned, by kind and token."""
        return [self._fresh[key] for key in sorted(self._fresh)]

    @property
    def newest_ns(self) -> int:
        """When the newest message taken was stored, in nanoseconds since the epoch; 0 before any."""
        return self._places[-1][1] if self._places else 0

    def feed(self, messages: Iterable[StoredMessage]) -> list[Tick]:
        """Takes messages in their order; returns the ticks that nothing later can change."""
        for message in messages:
            self._take(message)
        if not self._places:
            return []
        settled = bisect_right(self._places, self.newest_ns - HOLD_NS, key=lambda place: place[1])
        if not settled:
            return []
        ticks = self._release(self._places[settled - 1][0], 2**63)
        del self._places[: settled - 1]
        return ticks

    def finish(self, until_ns: int) -> list[Tick]:
        """Returns the ticks that are left before ``until_ns``; nothing may be fed afterwards."""
        return [*self._release(2**63, until_ns), *self._expired(until_ns - 1)]

    def _take(self, message: StoredMessage) -> None:
        self._places.append((message.sequence, message.stored_at_ns))
        if message.kind is None:
            self._take_journal(message)
            return
        if message.is_reassertion:
            self._confirmed.add(message.sequence)
        self._wait(message.sequence, message.stored_at_ns, message)

    def _take_journal(self, message: StoredMessage) -> None:
        try:
            confirmations = decode_confirmations(message.payload)
        except MessageError:
            self.refused += 1
            return
        for one in confirmations:
            if one.sequence in self._confirmed:  # the re-assertion itself is still there, or its line stands twice
                continue
            self._confirmed.add(one.sequence)
            if one.sequence <= self._released:
                self._wait(message.sequence, message.stored_at_ns, one)
            else:
                self._wait(one.sequence, self._time_of(one), one)

    def _wait(self, sequence: int, at_ns: int, what: StoredMessage | Confirmation) -> None:
        heapq.heappush(self._waiting, _Item(sequence, next(self._numbers), at_ns, what))

    def _time_of(self, confirmation: Confirmation) -> int:
        """The publisher's time of a re-assertion, kept between the stream's times of its neighbours."""
        after = bisect_left(self._places, confirmation.sequence, key=lambda place: place[0])
        earliest = self._places[after - 1][1] if after else 0
        return min(max(confirmation.published_at_ns, earliest), self._places[after][1])

    def _release(self, sequence: int, until_ns: int) -> list[Tick]:
        ticks: list[Tick] = []
        while self._waiting and self._waiting[0].sequence <= sequence and self._waiting[0].at_ns < until_ns:
            item = heapq.heappop(self._waiting)
            self._released = item.sequence
            ticks += self._expired(item.at_ns)
            tick = self._tick(item)
            if tick is not None:
                ticks.append(tick)
                self._hold(tick)
        if len(self._confirmed) > _MOST_CONFIRMED:
            self._confirmed = {known for known in self._confirmed if known > self._released}
        return ticks

    def _tick(self, item: _Item) -> Tick | None:
        what = item.what
        if isinstance(what, StoredMessage):
            if what.kind is None:
                return None
            sort = TickSort.CONFIRMATION if what.is_reassertion else TickSort.CHANGE
            return Tick(item.at_ns, sort, what.kind, what.token, what.sequence, what.headers, what.payload)
        value = self._values.get((what.kind, what.token))
        if value is None or value.sequence > what.sequence:
            return None
        try:
            payload = refreshed(value.payload, what)
        except MessageError:
            self.refused += 1
            return None
        return value._replace(at_ns=item.at_ns, sort=TickSort.CONFIRMATION, sequence=what.sequence, payload=payload)

    def _hold(self, tick: Tick) -> None:
        key = (tick.kind, tick.token)
        self._values[key] = self._fresh[key] = tick
        heapq.heappush(self._deadlines, (tick.expires_at_ns, tick.sequence, key))

    def _expired(self, now_ns: int) -> list[Tick]:
        """Lets go of what nobody confirmed until ``now_ns``."""
        gone: list[Tick] = []
        while self._deadlines and self._deadlines[0][0] <= now_ns:
            deadline_ns, sequence, key = heapq.heappop(self._deadlines)
            held = self._fresh.get(key)
            if held is not None and held.sequence == sequence:
                del self._fresh[key]
                gone.append(held._replace(at_ns=deadline_ns, sort=TickSort.EXPIRY, headers={}, payload=b""))
        return gone
