"""A bus with its stream, and a clock to move."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from drift_bus.nats_server import LocalNatsServer
from tests.subscribers.support import ManualClock
from tests.support.bus_writer import BusWriter


@pytest.fixture
async def bus(nats_server: LocalNatsServer) -> AsyncIterator[BusWriter]:
    """A writer on a server with stream and buckets."""
    async with BusWriter(nats_server.url) as writer:
        yield writer


@pytest.fixture
def clock() -> ManualClock:
    """A monotonic clock that can be moved ahead."""
    return ManualClock()
