"""The end of a NATS connection, however the server went before."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from nats.errors import Error as NatsError

if TYPE_CHECKING:
    from nats.aio.client import Client

__all__ = ["close_quietly"]

_CLOSE_S: Final = 2.0


async def close_quietly(client: Client, *, timeout_s: float = _CLOSE_S) -> None:
    """Closes for good, in ``timeout_s`` at most; only a cancellation of the caller comes out.

    nats-py waits without end after a failed TLS handshake; it writes what is pending to TLS that has ended, which
    asyncio answers with AttributeError; and its own reader, which may wait for the same socket's end, is cancelled for
    both.
    """
    before = _cancellations()
    try:
        async with asyncio.timeout(timeout_s):
            await client.close()
    except (NatsError, OSError, TimeoutError, AttributeError):
        pass
    except asyncio.CancelledError:
        if _cancellations() > before:
            raise


def _cancellations() -> int:
    task = asyncio.current_task()
    return 0 if task is None else task.cancelling()
