"""An event loop of its own, in a thread of its own, for callers that have none."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import CancelledError, Future
from contextlib import AbstractAsyncContextManager
from typing import Any, Final, TypeVar

from drift_subscribers.errors import FeedClosed

__all__ = ["Background"]

_T = TypeVar("_T")
_STOP_TIMEOUT_S: Final = 10.0


class Background:
    """Holds a context manager open in a daemon thread, and runs coroutines and functions beside it.

    What was submitted is finished when the thread has ended: with its result, or cancelled.
    """

    def __init__(self, context: AbstractAsyncContextManager[Any]) -> None:
        self._context = context
        self._lock = threading.Lock()
        self._accepting = True
        self._stop = asyncio.Event()
        self._opened: Future[None] = Future()
        self._task: asyncio.Task[None] | None = None
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="drift-feed", daemon=True)

    def start(self) -> None:
        """Enters the context manager; returns when that is done, and raises what it raised."""
        self._thread.start()
        try:
            self._opened.result()
        except BaseException:
            self.stop()
            raise

    def submit(self, work: Coroutine[Any, Any, _T]) -> Future[_T]:
        """Starts a coroutine in the thread.

        Raises:
            FeedClosed: the thread has ended, or is about to.
        """
        with self._lock:
            if self._accepting:
                return asyncio.run_coroutine_threadsafe(work, self._loop)
        work.close()
        raise FeedClosed("the feed is closed")

    def call(self, function: Callable[[], _T]) -> _T:
        """Returns what a function returns in the thread, or here when the thread has ended."""

        async def work() -> _T:
            return function()

        try:
            return self.submit(work()).result()
        except (FeedClosed, CancelledError):
            self._join()
            return function()

    def stop(self) -> None:
        """Leaves the context manager and ends the thread; returns when that is done."""
        with self._lock:
            if self._accepting:
                self._accepting = False
                self._loop.call_soon_threadsafe(self._end)
        self._join()

    def _join(self) -> None:
        if threading.current_thread() is not self._thread:
            self._thread.join(_STOP_TIMEOUT_S)

    def _end(self) -> None:
        self._stop.set()
        if self._task is not None and not self._opened.done():
            self._task.cancel()

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._hold())

    async def _hold(self) -> None:
        self._task = asyncio.current_task()
        try:
            async with self._context:
                self._opened.set_result(None)
                await self._stop.wait()
        except (Exception, asyncio.CancelledError) as error:
            if self._opened.done():
                raise
            self._opened.set_exception(error)
        finally:
            with self._lock:
                self._accepting = False
