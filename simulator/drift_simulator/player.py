"""Plays a capture's records at their recorded pace, faster, or as fast as clients take them."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Generator
from typing import Final

from drift_schemas.capture import CapturedAccount, CaptureReader, CaptureRecord

__all__ = ["Player"]

_LOOK_S: Final = 0.05
_BREATH_S: Final = 0.001
_AT_ONCE: Final = 64


class Player:
    """Hands out a capture's records, each at its time.

    Args:
        reader: The capture.
        tell: Takes a record; the second argument is how many slots to add to the recorded ones.
        speed: 1 keeps the recorded pace, 10 is ten times as fast, infinity waits for nothing but ``has_room``.
        loop: Begin again at the end, with slots that go on.
        has_room: Whether more may be told now.

    Attributes:
        played: Records told since the start, those before the first notification included.
        rounds: Times the end was reached.
        ended: Set when the capture has been told and is not told again.
    """

    def __init__(
        self,
        reader: CaptureReader,
        tell: Callable[[CaptureRecord, int], None],
        *,
        speed: float = 1.0,
        loop: bool = False,
        has_room: Callable[[], bool] = lambda: True,
    ) -> None:
        if not speed > 0:
            raise ValueError(f"speed is out of range: {speed}")
        self.played = 0
        self.rounds = 0
        self.ended = asyncio.Event()
        self._reader = reader
        self._tell = tell
        self._speed = speed
        self._loop = loop
        self._has_room = has_room
        self._records: Generator[CaptureRecord, None, None] = self._reader.records()
        self._next: CaptureRecord | None = None
        self._shift = 0
        self._slots: tuple[int, int] | None = None
        self._is_playing = asyncio.Event()
        self._anchor: tuple[float, int] | None = None

    def open(self) -> None:
        """Tells what the capture had read before anything was notified: the state in which it begins.

        Raises:
            CaptureError: the file is damaged there.
        """
        self._records = self._reader.records()
        self._advance()
        while isinstance(self._next, CapturedAccount) and self._next.was_read:
            self._tell_next(self._next)

    def play(self) -> None:
        """Lets time go on."""
        self._anchor = None
        self._is_playing.set()

    def pause(self) -> None:
        """Holds time."""
        self._is_playing.clear()

    @property
    def is_playing(self) -> bool:
        """Whether time goes on."""
        return self._is_playing.is_set()

    def step(self, count: int = 1) -> int:
        """Tells the next ``count`` records at once, also while time is held; returns how many there were."""
        for told in range(count):
            if self._next is None:
                return told
            self._tell_next(self._next)
        return count

    async def run(self) -> None:
        """Plays to the end, or for ever in a loop.

        Raises:
            CaptureError: the file is damaged; everything before was told.
        """
        while True:
            await self._is_playing.wait()
            if self._next is None:
                self.rounds += 1
                if not self._loop or self._slots is None:
                    break
                self._begin_again(*self._slots)
            elif (wait_s := self._wait_s(self._next)) > 0 or not self._has_room():
                await asyncio.sleep(min(max(wait_s, _BREATH_S), _LOOK_S))
            else:
                self._tell_next(self._next)
                if self.played % _AT_ONCE == 0:
                    await asyncio.sleep(0)
        self.ended.set()

    def close(self) -> None:
        """Lets go of the file."""
        self._records.close()

    def _wait_s(self, record: CaptureRecord) -> float:
        """Seconds until a record is due."""
        if math.isinf(self._speed):
            return 0.0
        now = asyncio.get_running_loop().time()
        if self._anchor is None:
            self._anchor = (now, record.received_ns)
        began, first_ns = self._anchor
        return began + (record.received_ns - first_ns) / 1e9 / self._speed - now

    def _tell_next(self, record: CaptureRecord) -> None:
        first, last = self._slots or (record.slot, record.slot)
        self._slots = (min(first, record.slot), max(last, record.slot))
        self.played += 1
        self._tell(record, self._shift)
        self._advance()

    def _advance(self) -> None:
        self._next = next(self._records, None)

    def _begin_again(self, first_slot: int, last_slot: int) -> None:
        self._shift += last_slot - first_slot + 1
        self._anchor = None
        self._records = self._reader.records()
        self._advance()
