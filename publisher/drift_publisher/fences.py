"""The fences of a term: every message carries one, by which the stream knows whether its sender still leads."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import Final

__all__ = ["AT_ONCE", "Fences"]

AT_ONCE: Final = 8192
"""Messages that may be on their way at once where the server does not count them."""


class Fences:
    """Lends fences out: a message takes one along, and gives it back when the server has answered.

    A replicated stream takes one message at a time behind each fence, so there are as many as may be on their way at
    once. A single server does not mind how many share one: there all of them are the same.

    Attributes:
        headers: What a message says to the server, by the number of the fence that it took.
        free: Numbers of those that are to be had.
    """

    def __init__(self) -> None:
        self.headers: Sequence[dict[str, str]] = ()
        self.free: deque[int] = deque()
        self._returned = asyncio.Event()
        self.renew(({},) * AT_ONCE)

    def renew(self, headers: Sequence[dict[str, str]]) -> None:
        """From now on messages carry these; what is lent out stays so, unless there is another number of them."""
        if len(headers) != len(self.headers):
            self.free = deque(range(len(headers)))
        self.headers = headers

    async def take(self) -> int:
        """Waits for one."""
        while not self.free:
            self._returned.clear()
            await self._returned.wait()
        return self.free.popleft()

    def give_back(self, number: int) -> None:
        """Somebody else may have it."""
        self.free.append(number)
        self._returned.set()
