"""The end of a NATS connection, however the server went before."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

from drift_schemas.access.cancelling import end

if TYPE_CHECKING:
    from nats.aio.client import Client

__all__ = ["close_quietly"]

_CLOSE_S: Final = 2.0


async def close_quietly(client: Client, *, timeout_s: float = _CLOSE_S) -> None:
    """Closes for good, in about ``timeout_s`` at most, and leaves no socket open; it never raises.

    nats-py's own ``close()`` has no bound: it waits for the end of a socket whose TLS handshake failed, of which nobody
    tells it; it waits for a frozen server to take what is pending; and it loses one cancellation while it waits for a
    reconnect to end. So it runs in a task of its own, which is cancelled until it has ended.

    Args:
        client: A client in any state; one that never connected, or is closed already, is fine.
        timeout_s: How long nats-py may take to say goodbye.
    """
    closing = asyncio.create_task(client.close(), name="closing a NATS connection")
    try:
        await asyncio.wait([closing], timeout=timeout_s)
    finally:
        try:
            await end(closing)
        finally:
            _drop(client)
            await asyncio.sleep(0)  # asyncio closes the socket of a dropped transport in its next turn


def _drop(client: Client) -> None:
    """Ends what ``close()`` left of the socket when it was cancelled, or when it has been closing before."""
    transport: Any = getattr(client, "_transport", None)
    for name in ("_io_writer", "_bare_io_writer"):
        if (writer := getattr(transport, name, None)) is not None:
            writer.transport.abort()
