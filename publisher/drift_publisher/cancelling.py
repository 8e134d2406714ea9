"""Attempts that are made again and again, inside a task that may be cancelled."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

__all__ = ["apart"]

_T = TypeVar("_T")


async def apart(attempt: Coroutine[Any, Any, _T], *, name: str) -> _T:
    """Runs ``attempt`` in a task of its own: the caller's cancellation gets through, whatever the attempt makes of it.

    Before Python 3.13 a task group that ends with an error drops the cancellation that reached its parent meanwhile,
    and websockets 13.0 raises a refused handshake in place of one. Whoever then tries again would never end.
    """
    task = asyncio.create_task(attempt, name=name)
    try:
        await asyncio.wait([task])
    finally:
        if not task.done():
            task.cancel()
            await asyncio.wait([task])
            if not task.cancelled():
                task.exception()
    return task.result()
