"""What ``asyncio.run`` does at its end, for event loops that are closed, or left behind, without it."""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import time
import weakref
from typing import Final

__all__ = ["end_tasks_with"]

_PATIENCE_S: Final = 5.0
_loops: Final[weakref.WeakSet[asyncio.AbstractEventLoop]] = weakref.WeakSet()


def end_tasks_with(loop: asyncio.AbstractEventLoop) -> None:
    """Lets ``loop`` cancel what still runs in it, and wait for that, when it is closed or when Python exits.

    Older programs call ``loop.run_until_complete(…)`` and then ``loop.close()``, or nothing. A connection that is open
    then would leave its tasks and its socket to the garbage collector, which tells each in a line or more.
    """
    if loop in _loops:
        return
    _loops.add(loop)
    close = loop.close

    def close_after_tasks() -> None:
        try:
            _end_tasks(loop)
        finally:
            close()

    with contextlib.suppress(AttributeError):  # a loop that cannot be told: the exit of Python remains
        loop.close = close_after_tasks  # type: ignore[method-assign]


def _end_tasks(loop: asyncio.AbstractEventLoop) -> None:
    """Does nothing where the loop is closed, or where it cannot run now."""
    if loop.is_closed() or loop.is_running() or asyncio._get_running_loop() is not None:
        return
    if asyncio.all_tasks(loop):
        loop.run_until_complete(_cancel_all(loop))
        loop.run_until_complete(loop.shutdown_asyncgens())


async def _cancel_all(loop: asyncio.AbstractEventLoop) -> None:
    """Cancels until there is nothing left but us: what ends may begin something to end itself by."""
    deadline = time.monotonic() + _PATIENCE_S
    while (tasks := asyncio.all_tasks(loop) - {asyncio.current_task()}) and time.monotonic() < deadline:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks, timeout=1.0)
    await asyncio.sleep(0)  # sockets that were closed are told so


@atexit.register
def _end_all() -> None:
    """Ends the loops that nobody closed, in this thread, or where they still run in a daemon thread."""
    for loop in list(_loops):
        with contextlib.suppress(Exception):
            if loop.is_running():
                asyncio.run_coroutine_threadsafe(_cancel_all(loop), loop).result(_PATIENCE_S)
            else:
                _end_tasks(loop)
