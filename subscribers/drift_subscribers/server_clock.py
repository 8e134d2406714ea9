"""Ages from the server's time stamps, without trusting any wall clock to agree with another.

The server stamps every stored message with its wall clock. We want the message's age on our monotonic clock,
so we keep ``offset`` = our monotonic time − the server's wall time, learned from the messages themselves:

* A live message was stamped a moment ago, so ``now − stamp`` is the offset plus its transit time. The
  smallest sample is the best one. An age is underestimated by the fastest transit ever seen, under a
  millisecond on one network, and is never negative.
* When the feed joins it asks the server for its time (stream info carries it) and takes the moment before the
  request as the same instant: ages may come out too long by the round trip, never too short.
* Only where that request is not permitted, and until the first live message, our wall clock stands in; then
  an age is wrong by as much as the two hosts' wall clocks differ.
* The server's wall clock may jump. A jump forward shows as a smaller sample. A jump back shows as a stamp that
  falls while the sequence grows, or as live messages that seem to come late; these are a reason to ask the
  server again (``doubts``). Where it may not be asked, five seconds of nothing but late messages are taken for a
  jump. Slow drift is followed by letting the offset rise by 1 ms a second.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final

from drift_schemas import STORED_AT_HEADER, TIME_STAMP_HEADER

__all__ = ["ServerClock", "parse_time_stamp", "stored_at_ns"]

_DRIFT_PER_S: Final = 1e-3
_JUMP_S: Final = 0.25
_LATE_S: Final = 1.0
_LATE_FOR_S: Final = 5.0
_NS: Final = 1_000_000_000
_TIME: Final = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?Z", re.ASCII)


def parse_time_stamp(text: str) -> int:
    """Returns nanoseconds since the Unix epoch of an RFC 3339 time in UTC.

    Raises:
        ValueError: it is none.
    """
    match = _TIME.fullmatch(text)
    if match is None:
        raise ValueError(f"no UTC time stamp: {text!r}")
    second, fraction = match.groups()
    return _epoch_seconds(second) * _NS + int((fraction or "0").ljust(9, "0"))


@lru_cache(maxsize=16)  # stamps of one second come in a row
def _epoch_seconds(second: str) -> int:
    return int(datetime.fromisoformat(second).replace(tzinfo=UTC).timestamp())


def stored_at_ns(headers: Mapping[str, str]) -> int:
    """When a message was stored, in nanoseconds since the epoch; of a replayed or imported one: stored first.

    Raises:
        KeyError, ValueError: the headers don't tell.
    """
    first = headers.get(STORED_AT_HEADER)
    return int(first) if first else parse_time_stamp(headers[TIME_STAMP_HEADER])


class ServerClock:
    """Learns the offset between our monotonic clock and the server's wall clock."""

    def __init__(self) -> None:
        self._offset: float | None = None
        self._learned_at = 0.0
        self.alone = False
        """The server may not be asked for its time."""
        self._newest = (0, 0)
        self._assumed = False
        self._late_since: tuple[float, float] | None = None

    @property
    def calibrated(self) -> bool:
        """There was at least one sample of the server's own time."""
        return self._offset is not None and not self._assumed

    def calibrate(self, server_ns: int, now: float) -> None:
        """Takes ``now`` and the server's time for one instant; replaces what was known if it disagrees."""
        sample = now - server_ns / _NS
        if self._offset is None or self._assumed or abs(sample - self._offset) > _JUMP_S:
            self._begin(sample, now)
        else:
            self._learn(self._offset, sample, now)

    def assume(self, wall_ns: int, now: float) -> None:
        """Takes our wall clock for the server's until there is something better."""
        self._begin(now - wall_ns / _NS, now)
        self._assumed = True

    def confirmed_at(self, stamp_ns: int, now: float) -> float:
        """When, on our monotonic clock, a message of this time stamp was stored; never later than ``now``."""
        if self._offset is None:
            return now
        return min(now, stamp_ns / _NS + self._offset)

    def doubts(self, sequence: int, stamp_ns: int, now: float) -> bool:
        """This live message seems to come late: by a backlog, or by a jump of the server's wall clock."""
        return not self._fell(sequence, stamp_ns) and now - self.confirmed_at(stamp_ns, now) > _LATE_S

    def live(self, sequence: int, stamp_ns: int, now: float) -> float:
        """Learns from a live message, then says when it was stored on our monotonic clock."""
        sample = now - stamp_ns / _NS
        if self._offset is None or self._assumed or self._fell(sequence, stamp_ns):
            self._begin(sample, now)
        elif sample - self._offset <= _LATE_S:
            self._late_since = None
            self._learn(self._offset, sample, now)
        elif self.alone:
            self._late(sample, now)
        if sequence > self._newest[0]:
            self._newest = (sequence, stamp_ns)
        return self.confirmed_at(stamp_ns, now)

    def restart(self) -> None:
        """Forgets the newest sequence: the stream behind it is another one."""
        self._newest = (0, 0)

    def _fell(self, sequence: int, stamp_ns: int) -> bool:
        newest, newest_ns = self._newest
        return sequence > newest > 0 and stamp_ns < newest_ns - _JUMP_S * _NS

    def _begin(self, sample: float, now: float) -> None:
        self._offset, self._learned_at, self._assumed = sample, now, False
        self._late_since = None

    def _learn(self, offset: float, sample: float, now: float) -> None:
        risen = offset + max(0.0, now - self._learned_at) * _DRIFT_PER_S
        self._offset, self._learned_at = min(sample, risen), now

    def _late(self, sample: float, now: float) -> None:
        """Believes in a jump when everything was late for a while, by the least late."""
        since, least = self._late_since or (now, sample)
        self._late_since = (since, min(least, sample))
        if now - since > _LATE_FOR_S:
            self._begin(min(least, sample), now)
