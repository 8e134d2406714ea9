"""Waiting for a condition instead of sleeping, and never past the end of the test."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import math
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Final

__all__ = ["begin_test", "patience", "wait_until"]

_TO_SAY_WHY_S: Final = 10.0
"""What a test keeps of its limit, so that a wait that fails names what it waited for."""

_ends_at = math.inf


def begin_test(limit_s: float) -> None:
    """All waits of a test share its limit: none goes on past it, however many came before.

    Args:
        limit_s: How long pytest-timeout lets the test take, with its fixtures; 0 for as long as it likes.
    """
    global _ends_at
    _ends_at = time.monotonic() + max(limit_s - _TO_SAY_WHY_S, limit_s / 2) if limit_s else math.inf


async def wait_until(
    predicate: Callable[[], Any | Awaitable[Any]], timeout_s: float = 45.0, what: str = "", every_s: float = 0.01
) -> Any:
    """Returns the first truthy result of ``predicate`` (sync or async).

    Fails after ``timeout_s``, or earlier where the test's own limit is.
    """
    began = time.monotonic()
    deadline = min(began + timeout_s, _ends_at)
    while True:
        result = predicate()
        if inspect.isawaitable(result):
            result = await result
        if result:
            return result
        if time.monotonic() > deadline:
            waited = f"not within {deadline - began:.3g} s" + (", the end of the test" if deadline == _ends_at else "")
            raise AssertionError(f"{waited}: {what or inspect.getsource(predicate).strip()}")
        await asyncio.sleep(every_s)


@contextlib.asynccontextmanager
async def patience(what: str, timeout_s: float = 45.0) -> AsyncIterator[None]:
    """Bounds a block that waits by itself, as ``wait_until`` bounds its own wait; ``what`` says what for."""
    timeout_s = max(0.0, min(timeout_s, _ends_at - time.monotonic()))
    limit = asyncio.timeout(timeout_s)
    try:
        async with limit:
            yield
    except TimeoutError:
        if not limit.expired():
            raise
        raise AssertionError(f"not within {timeout_s:.3g} s: {what}") from None
