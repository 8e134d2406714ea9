"""An attempt apart: its result and its errors come out, and a cancellation always gets through."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

import pytest

from drift_schemas.access import apart


async def group_that_fails_when_it_is_cancelled() -> None:
    async def fail_late() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            raise OSError("lost")

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(fail_late())


async def library_that_raises_in_place_of_the_cancellation() -> None:
    try:
        await asyncio.Event().wait()
    finally:
        raise OSError("refused")


async def library_that_loses_one_cancellation() -> None:
    with contextlib.suppress(asyncio.CancelledError):
        await asyncio.Event().wait()
    await asyncio.Event().wait()


async def patient() -> None:
    await asyncio.Event().wait()


ATTEMPTS = [
    group_that_fails_when_it_is_cancelled,
    library_that_raises_in_place_of_the_cancellation,
    library_that_loses_one_cancellation,
    patient,
]


@pytest.mark.parametrize("attempt", ATTEMPTS)
async def test_whoever_tries_again_and_again_ends_when_cancelled(attempt: Callable[[], Awaitable[None]]) -> None:
    attempts = 0

    async def persevere() -> None:
        nonlocal attempts
        while True:
            attempts += 1
            try:
                await apart(attempt(), name="attempt")  # type: ignore[arg-type]
            except* OSError:
                pass

    task = asyncio.create_task(persevere())
    while not attempts:
        await asyncio.sleep(0)
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])

    assert task.cancelled()
    assert attempts == 1


async def test_what_the_attempt_returns_and_raises_comes_out() -> None:
    async def answer() -> int:
        return 42

    async def fail() -> None:
        raise OSError("lost")

    assert await apart(answer(), name="answer") == 42
    with pytest.raises(OSError, match="lost"):
        await apart(fail(), name="fail")
