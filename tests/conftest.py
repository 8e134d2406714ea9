"""Fixtures that every room's tests share: a real nats-server per test, and no task left behind."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from drift_bus.nats_server import LocalNatsServer


@pytest.fixture
async def nats_server() -> AsyncIterator[LocalNatsServer]:
    """A nats-server with JetStream on a free port and in a temporary folder."""
    async with LocalNatsServer() as server:
        yield server


@pytest.fixture(autouse=True)
async def no_task_left_behind() -> AsyncIterator[None]:
    """Fails any test that leaves an asyncio task running."""
    yield
    left: list[asyncio.Task[object]] = []
    for _ in range(50):
        left = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        if not left:
            return
        await asyncio.sleep(0.01)
    names = [f"{task.get_name()}: {task.get_coro()}" for task in left]
    pytest.fail(f"tasks left running: {names}")
