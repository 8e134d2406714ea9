"""What ``asyncio.run`` does at its end, for event loops that are closed, or left behind, without it."""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import time
import weakref
from typing import Any, Final

__all__ = ["end_tasks_with"]

_PATIENCE_S: Final = 5.0
_INTERRUPTS: Final = 3
_loops: Final[weakref.WeakSet[asyncio.AbstractEventLoop]] = weakref.WeakSet()


def end_tasks_with(loop: asyncio.AbstractEventLoop) -> None:
    """Lets ``loop`` cancel what still runs in it, and wait for that, when it is closed or when Python exits.

    Older programs call ``loop.run_until_complete(…)`` and then ``loop.close()``, or nothing. A connection that is open
    then would leave its tasks and its socket to the garbage collector, which tells each in a line or more.
    """
    if loop in _loops:
        return
    _loops.add(loop)
    close, handler = loop.close, loop.get_exception_handler()

    def close_after_tasks() -> None:
        try:
            _end_tasks(loop)
        finally:
            close()

    def handle(of: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        # Ctrl-C raises in whichever task runs, and Python says it at the end: not once more for that task.
        if isinstance(context.get("exception"), KeyboardInterrupt | SystemExit):
            return
        (handler or type(of).default_exception_handler)(of, context)

    with contextlib.suppress(AttributeError):  # a loop that cannot be told: the exit of Python remains
        loop.close = close_after_tasks  # type: ignore[method-assign]
        loop.set_exception_handler(handle)


def _end_tasks(loop: asyncio.AbstractEventLoop) -> None:
    """Does nothing where the loop is closed, or where it cannot run now."""
    if loop.is_closed() or loop.is_running() or asyncio._get_running_loop() is not None:
        return
    deadline = time.monotonic() + _PATIENCE_S
    for last in (False,) * (_INTERRUPTS - 1) + (True,):
        if not asyncio.all_tasks(loop):
            return
        try:
            loop.run_until_complete(_cancel_all(loop, deadline))
            loop.run_until_complete(loop.shutdown_asyncgens())
        except (KeyboardInterrupt, SystemExit):
            # A task that waits for an interrupted one raises the same interrupt again.
            if last:
                raise
        else:
            return


async def _cancel_all(loop: asyncio.AbstractEventLoop, deadline: float) -> None:
    """Cancels until there is nothing left but us: what ends may begin something to end itself by."""
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
                ending = _cancel_all(loop, time.monotonic() + _PATIENCE_S)
                asyncio.run_coroutine_threadsafe(ending, loop).result(_PATIENCE_S)
            else:
                _end_tasks(loop)
