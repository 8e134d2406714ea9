"""Runs a command's coroutine: one event loop, and signals that mean «stop cleanly»."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

__all__ = ["Stopped", "also_stopped_by_stdin", "interrupted_by", "run_until_stopped", "wait_for_stop"]


def run_until_stopped(command: Callable[[asyncio.Event], Awaitable[int]]) -> int:
    """Runs ``command(stop)``; SIGINT, SIGTERM and SIGHUP set ``stop``, a second one of them cancels.

    Returns:
        What ``command`` returns; 130 where a second signal cut it short.
    """

    async def run() -> int:
        stop = asyncio.Event()
        task = asyncio.ensure_future(command(stop))
        with _signals(stop, task):
            return await task

    try:
        return asyncio.run(run())
    except asyncio.CancelledError:
        return 130


async def wait_for_stop(stop: asyncio.Event, timeout_s: float | None) -> bool:
    """Waits for ``stop``, at most ``timeout_s`` (``None``: for ever); tells whether it is set."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(timeout_s):
            await stop.wait()
    return stop.is_set()


@contextlib.asynccontextmanager
async def also_stopped_by_stdin(stop: asyncio.Event, *, wanted: bool) -> AsyncIterator[None]:
    """Where ``wanted``, sets ``stop`` at the end of stdin: whoever holds the other end of the pipe is gone."""
    if not wanted:
        yield
        return
    loop = asyncio.get_running_loop()
    transport, _ = await loop.connect_read_pipe(lambda: _Lifeline(stop), sys.stdin)
    try:
        yield
    finally:
        transport.close()


class Stopped(Exception):
    """``stop`` was set while something was going on that does not look at it."""


@contextlib.asynccontextmanager
async def interrupted_by(stop: asyncio.Event) -> AsyncIterator[None]:
    """Cancels what runs in the ``async with`` as soon as ``stop`` is set.

    Raises:
        Stopped: it was.
    """
    limit = asyncio.timeout(None)
    try:
        async with limit:
            watcher = asyncio.create_task(_expire(limit, stop), name="stop")
            try:
                yield
            finally:
                watcher.cancel()
    except TimeoutError:
        if limit.expired():
            raise Stopped from None
        raise


async def _expire(limit: asyncio.Timeout, stop: asyncio.Event) -> None:
    await stop.wait()
    limit.reschedule(asyncio.get_running_loop().time())


class _Lifeline(asyncio.Protocol):
    def __init__(self, stop: asyncio.Event) -> None:
        self._stop = stop

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        self._stop.set()


@contextlib.contextmanager
def _signals(stop: asyncio.Event, task: asyncio.Future[int]) -> Iterator[None]:
    loop = asyncio.get_running_loop()

    def on_signal() -> None:
        if stop.is_set():
            task.cancel()
        stop.set()

    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    for number in numbers:
        loop.add_signal_handler(number, on_signal)
    try:
        yield
    finally:
        for number in numbers:
            loop.remove_signal_handler(number)
