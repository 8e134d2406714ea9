"""One resource that several hold: opened once, closed when nobody refers to it any more."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Generic, TypeVar

from drift_subscribers.errors import FeedClosed
from drift_subscribers.loop_end import end_tasks_with

__all__ = ["Holding"]

_R = TypeVar("_R")


class Holding(Generic[_R]):
    """Enters and leaves one context manager, both in one task of its own, whoever asks for it and gives it up.

    Args:
        open_context: Makes the context manager.
        ended: Hears, before anyone who waits, that there is nothing here to refer to any more; maybe twice.
    """

    def __init__(
        self, open_context: Callable[[], AbstractAsyncContextManager[_R]], ended: Callable[[Holding[_R]], None]
    ) -> None:
        self.loop = asyncio.get_running_loop()
        end_tasks_with(self.loop)
        self.references = 0
        self._ended = ended
        self._unused = asyncio.Event()
        self._opened: asyncio.Future[_R] = self.loop.create_future()
        self._task = self.loop.create_task(self._hold(open_context), name="drift-shared-feed")
        self._task.add_done_callback(self._end)

    async def resource(self) -> _R:
        """What was opened, once it is; cancelling the wait disturbs nobody else.

        Raises:
            Exception: it could not be opened, and why; the same for everyone who waits.
        """
        return await asyncio.shield(self._opened)

    async def close(self) -> None:
        """Gives up what is opened or being opened, and returns when it is closed."""
        self._unused.set()
        if not self._opened.done():
            self._task.cancel()
        await asyncio.wait({self._task})
        if not self._task.cancelled():
            self._task.result()

    async def _hold(self, open_context: Callable[[], AbstractAsyncContextManager[_R]]) -> None:
        try:
            async with open_context() as resource:
                self._opened.set_result(resource)
                await self._unused.wait()
        except Exception as error:
            if self._opened.done():
                raise
            self._fail(error)

    def _end(self, _: asyncio.Task[None]) -> None:
        if self._opened.done():
            self._ended(self)
        else:
            self._fail(FeedClosed("the shared feed was given up while it was being opened"))

    def _fail(self, error: Exception) -> None:
        self._ended(self)
        self._opened.set_exception(error)
        self._opened.exception()  # nobody may be waiting
