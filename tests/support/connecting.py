"""A bare connection to a server, which ends with the test that opened it, however that test ends."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import nats
from nats.aio.client import Client

from drift_schemas.access import close_quietly

__all__ = ["nats_client"]


@asynccontextmanager
async def nats_client(url: str, **options: Any) -> AsyncIterator[Client]:
    """nats-py's own client; ``options`` are those of its ``connect``."""
    client = await nats.connect(url.split(","), **options)
    try:
        yield client
    finally:
        await close_quietly(client)
