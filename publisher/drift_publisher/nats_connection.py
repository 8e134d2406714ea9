"""The publisher's NATS connection: keeps reconnecting, notices death in seconds, cannot be killed by a callback."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Sequence
from typing import Any, Final

from nats.errors import Error as NatsError

from drift_publisher.errors import NatsUnavailable, SettingsError
from drift_publisher.nats_client import NatsClient
from drift_publisher.redact import redact, redact_url
from drift_schemas.access import AccessError, NatsAccess, NatsLogin, apart, close_quietly, explain

__all__ = ["connect_nats"]

_log = logging.getLogger(__name__)
_PING_S: Final = 2
_RECONNECT_S: Final[Any] = 0.25  # a float works; nats-py's annotation says int


@contextlib.asynccontextmanager
async def connect_nats(
    servers: Sequence[str],
    *,
    name: str,
    timeout_s: float,
    reconnected: asyncio.Event,
    access: NatsAccess | None = None,
) -> AsyncIterator[NatsClient]:
    """Connects, trying again for ``timeout_s``; reconnects for ever after that.

    Args:
        servers: URLs, which may hold passwords.
        name: Names the connection at the server.
        timeout_s: How long the first connection may take.
        reconnected: Set after every connection but the first.
        access: Who we are at the server, and whom we trust; nobody and the system's CAs by default.

    Raises:
        NatsUnavailable: no server answered in time, or it refused us; the text says which.
        SettingsError: credentials or certificates cannot be used.
    """
    client = NatsClient()
    where = ", ".join(redact_url(url) for url in servers)
    refusals: list[str] = []
    try:
        try:
            login = (access or NatsAccess()).login()
            async with asyncio.timeout(timeout_s):
                await _connect(client, list(servers), name, reconnected, login, refusals)
        except AccessError as error:
            raise SettingsError(str(error)) from None
        except (NatsError, OSError, TimeoutError):
            why = refusals[-1] if refusals else "start one (nats-server -js), or check --nats-url"
            raise NatsUnavailable(f"no NATS server at {where} within {timeout_s:g} s: {why}") from None
        yield client
    finally:
        await close_quietly(client)


async def _connect(
    client: NatsClient,
    servers: list[str],
    name: str,
    reconnected: asyncio.Event,
    login: NatsLogin,
    refusals: list[str],
) -> None:
    """Connects; what a server refused us for goes to the end of ``refusals``, in words that name the remedy."""
    said: set[str] = set()

    async def on_error(error: Exception) -> None:
        meaning = None if client.is_connected else explain(error, logging_in=True)
        if meaning is not None:
            refusals.append(meaning)
        what = redact(f"{type(error).__name__}: {error}")
        if what not in said:
            said.add(what)
            _log.warning("NATS: %s", what)

    async def on_disconnect() -> None:
        if not client.is_closed:
            _log.warning("NATS: connection lost, reconnecting")

    async def on_reconnect() -> None:
        said.clear()
        _log.info("NATS: connected again")
        reconnected.set()

    connecting = client.connect(
        servers,
        name=name,
        error_cb=on_error,
        disconnected_cb=on_disconnect,
        reconnected_cb=on_reconnect,
        allow_reconnect=True,
        max_reconnect_attempts=-1,
        reconnect_time_wait=_RECONNECT_S,
        connect_timeout=2,
        ping_interval=_PING_S,
        max_outstanding_pings=2,
        pending_size=4 * 1024 * 1024,
        **login.options_for(client),
    )
    await apart(connecting, name="connecting to NATS")
