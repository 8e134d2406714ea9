"""A clock that a test moves, and a line that a test makes lossy."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import TypeVar

import pytest
from nats.aio.msg import Msg

from drift_schemas import SEQUENCE_HEADER, MarketDataEvent
from drift_subscribers import EventStream
from drift_subscribers.intake import Intake

__all__ = ["ManualClock", "collect", "lose"]

E = TypeVar("E", bound=MarketDataEvent)


class ManualClock:
    """Runs with real time, and jumps when told to."""

    def __init__(self) -> None:
        self.ahead_s = 0.0

    def __call__(self) -> float:
        return time.monotonic() + self.ahead_s

    def advance(self, seconds: float) -> None:
        self.ahead_s += seconds


def lose(monkeypatch: pytest.MonkeyPatch, lost: Callable[[int], bool]) -> None:
    """From now on, new feeds do not get the live messages whose sequence ``lost`` picks."""
    take = Intake.on_message

    async def on_message(self: Intake, message: Msg) -> None:
        if not lost(int((message.headers or {}).get(SEQUENCE_HEADER, "0"))):
            await take(self, message)

    monkeypatch.setattr(Intake, "on_message", on_message)


async def collect(stream: EventStream[E], count: int, timeout_s: float = 60.0) -> list[E]:
    """The next ``count`` events of a stream."""
    events: list[E] = []
    async with asyncio.timeout(timeout_s):
        while len(events) < count:
            events.append(await anext(stream))
    return events
