"""Attempts inside a task that may be cancelled: the cancellation gets through, whatever a library makes of it."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, Final, TypeVar

__all__ = ["apart", "end"]

_T = TypeVar("_T")
_AGAIN_S: Final = 1.0


async def apart(attempt: Coroutine[Any, Any, _T], *, name: str) -> _T:
    """Runs ``attempt`` in a task of its own, and ends that with the caller.

    Some of what one waits in loses a cancellation, and whoever then tries again never ends: on Python 3.11
    ``asyncio.wait_for``, in which nats-py connects; before 3.13 a task group that ends with an error; anyio 4.4 that
    has just connected; websockets 13.0 after a refused handshake.
    """
    task = asyncio.create_task(attempt, name=name)
    try:
        await asyncio.wait([task])
    finally:
        await end(task)
    return task.result()


async def end(*tasks: asyncio.Task[Any]) -> None:
    """Cancels ``tasks`` until they have ended; how they ended is theirs."""
    while pending := [task for task in tasks if not task.done()]:
        for task in pending:
            task.cancel()
        await asyncio.wait(pending, timeout=_AGAIN_S)
    for task in tasks:
        if not task.cancelled():
            task.exception()  # or asyncio complains that nobody asked
