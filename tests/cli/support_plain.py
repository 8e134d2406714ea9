"""A nats-server without JetStream."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from drift_bus.nats_server import find_nats_server
from tests.support.wait import wait_until

__all__ = ["plain_nats_server"]


@asynccontextmanager
async def plain_nats_server(folder: Path) -> AsyncIterator[str]:
    """Its URL; it ends with the ``async with``."""
    process = await asyncio.create_subprocess_exec(
        find_nats_server(), "--addr", "127.0.0.1", "--port", "-1", "--ports_file_dir", str(folder),
        stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip

    def url() -> str:
        for file in folder.glob("*.ports"):
            try:
                return str(json.loads(file.read_text())["nats"][0])
            except (ValueError, LookupError, TypeError):
                return ""
        return ""

    try:
        yield await wait_until(url, 60)
    finally:
        process.terminate()
        await process.wait()
