"""An event loop that is closed with open connections in it ends them, also where Ctrl-C took something from it."""

from __future__ import annotations

import asyncio
import gc
from typing import Any

from drift_subscribers.loop_end import end_tasks_with


def test_a_wake_up_that_ctrl_c_took_away_keeps_nobody_waiting() -> None:
    """The loop has taken the wake-up from its queue when the interrupt comes, so the task would sleep for ever."""
    loop = asyncio.new_event_loop()
    end_tasks_with(loop)
    said: list[dict[str, Any]] = []
    loop.set_exception_handler(lambda _, context: said.append(context))
    ended: list[str] = []
    news: asyncio.Future[None] = loop.create_future()

    async def sleeper() -> None:
        try:
            await news
        finally:
            ended.append("sleeper")

    async def waits_for(task: asyncio.Task[None]) -> None:
        try:
            await asyncio.gather(task, return_exceptions=True)
        finally:
            ended.append("its holder")

    async def begin() -> None:
        task = loop.create_task(sleeper())
        tasks.extend((task, loop.create_task(waits_for(task))))
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    tasks: list[asyncio.Task[None]] = []
    loop.run_until_complete(begin())
    news.set_result(None)
    queue: Any = loop
    queue._ready.clear()  # what an interrupt does between taking a handle and running it
    loop.close()
    assert ended == ["sleeper", "its holder"]
    assert all(task.done() for task in tasks)
    tasks.clear()
    gc.collect()
    assert said == []
