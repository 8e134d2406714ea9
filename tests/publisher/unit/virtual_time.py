"""Time that stands until a test moves it, for code that takes its clock and its sleep as arguments."""

from __future__ import annotations

import asyncio
import heapq
import itertools

__all__ = ["VirtualTime", "let_run"]

_ENOUGH_TURNS = 60


async def let_run() -> None:
    """Lets every task run until it waits for something."""
    for _ in range(_ENOUGH_TURNS):
        await asyncio.sleep(0)


class VirtualTime:
    """A clock (call it) and a :meth:`sleep` that goes by it."""

    def __init__(self) -> None:
        self.now = 1000.0
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._order = itertools.count()

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        """Returns once time has been moved so far."""
        awake = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self.now + seconds, next(self._order), awake))
        await awake

    async def advance(self, seconds: float) -> None:
        """Moves time on; whoever sleeps until then wakes up at its own moment."""
        await let_run()
        end = self.now + seconds
        while self._sleepers and self._sleepers[0][0] <= end:
            due, _, awake = heapq.heappop(self._sleepers)
            self.now = max(self.now, due)
            if not awake.done():
                awake.set_result(None)
            await let_run()
        self.now = end
        await let_run()
