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
_ROUND_S: Final = 1.0
_TURNS: Final = 3
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
            loop.run_until_complete(_end_generators(loop))
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
        await _end_sleepers(tasks)
        await asyncio.wait(tasks, timeout=_ROUND_S)
    await asyncio.sleep(0)  # sockets that were closed are told so


async def _end_sleepers(tasks: set[asyncio.Task[Any]]) -> None:
    """Ends tasks that nothing will ever wake: Ctrl-C can hit the loop where it has taken the wake-up, and not run it.

    Such a task waits for what is done already, also after the loop's next turns, and a cancellation waits with it;
    whoever waits for the task would wait for ever.
    """
    before = {task: _waits_for(task) for task in tasks}
    for _ in range(_TURNS):
        await asyncio.sleep(0)
    for task, future in before.items():
        if future is not None and future.done() and not task.done() and _waits_for(task) is future:
            asyncio.Future.cancel(task)  # a task's own cancel() leaves it to the wake-up
            coroutine: Any = task.get_coro()
            with contextlib.suppress(Exception):  # what it cannot do without waiting
                coroutine.close()


def _waits_for(task: asyncio.Task[Any]) -> asyncio.Future[Any] | None:
    return getattr(task, "_fut_waiter", None)


async def _end_generators(loop: asyncio.AbstractEventLoop) -> None:
    """Ends asynchronous generators that are open, and goes on where one does not end."""
    ending = loop.create_task(loop.shutdown_asyncgens())
    for _ in range(2):
        if not ending.done():
            await asyncio.wait({ending}, timeout=_ROUND_S)
            ending.cancel()


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
