"""Opens a WebSocket to an endpoint, and says where it cannot which setting chooses its URL."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from typing import Final

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidStatus, WebSocketException
from websockets.protocol import Event

from drift_publisher.endpoints import Endpoint
from drift_publisher.http_transport import retry_after_s
from drift_publisher.redact import redact

__all__ = ["SocketLost", "open_socket"]

_HANDSHAKE_S: Final = 10.0
_CLOSE_S: Final = 1.0
_LONGEST_MESSAGE: Final = 16 * 1024 * 1024
_TOO_MANY_REQUESTS: Final = 429


class SocketLost(ConnectionError):
    """The socket is of no more use.

    Attributes:
        retry_after_s: The endpoint's own word on when to come back.
        is_throttled: It said that we come too often.
        is_lesson: The next socket will do better, so it is no failure of the endpoint.
    """

    def __init__(
        self, why: str, *, retry_after_s: float = 0.0, is_throttled: bool = False, is_lesson: bool = False
    ) -> None:
        super().__init__(why)
        self.retry_after_s = retry_after_s
        self.is_throttled = is_throttled
        self.is_lesson = is_lesson


class _Connection(ClientConnection):
    """A connection that its end during the handshake does not trip.

    websockets cancels its own waiters then, and sets them nevertheless when the connection closes (13.0), or when the
    answer to the handshake comes in the same moment.
    """

    def process_event(self, event: Event) -> None:
        if self.response is None and self.response_rcvd.cancelled():
            return  # nobody waits for the handshake any more
        super().process_event(event)

    def connection_lost(self, exc: Exception | None) -> None:
        if self.connection_lost_waiter.cancelled():
            self.connection_lost_waiter = self.loop.create_future()
        super().connection_lost(exc)


@contextlib.asynccontextmanager
async def open_socket(endpoint: Endpoint, *, ping_s: float = 0.0) -> AsyncIterator[ClientConnection]:
    """A socket to the endpoint, closed at the end, even where the end does not wait for the other side.

    Args:
        endpoint: Where to.
        ping_s: Send a ping so often, because fronts cut sockets whose client is silent; 0 sends none. Nobody waits
            for the answer: slots tell whether the socket lives.

    Raises:
        SocketLost: it cannot be opened; the text names the setting that chooses its URL.
    """
    try:
        socket = await connect(
            endpoint.ws_url,
            open_timeout=_HANDSHAKE_S,
            close_timeout=_CLOSE_S,
            ping_interval=ping_s or None,
            ping_timeout=None,
            compression=None,
            max_size=_LONGEST_MESSAGE,
            create_connection=_Connection,
        )
    except (OSError, WebSocketException, TimeoutError) as error:
        raise _refused(endpoint, error) from None
    endpoint.traffic.sockets_opened += 1
    try:
        yield socket
    finally:
        try:
            await socket.close()
        finally:
            # Closing takes a second where nobody answers, and a caller in a hurry cancels it: then nothing else would
            # end the connection, nor the task that sends its pings.
            socket.transport.abort()


def _refused(endpoint: Endpoint, error: Exception) -> SocketLost:
    where = f"its URL comes from {endpoint.ws_setting}"
    if isinstance(error, InvalidStatus):
        status, asked = error.response.status_code, retry_after_s(error.response.headers.get("Retry-After"))
        said = f"WebSocket refused with HTTP {status}: {where}"
        return SocketLost(said, retry_after_s=asked, is_throttled=status == _TOO_MANY_REQUESTS)
    return SocketLost(f"the WebSocket does not open ({redact(f'{type(error).__name__}: {error}')}): {where}")
