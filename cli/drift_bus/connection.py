"""A NATS connection that tells clearly why there is none, and then reconnects for ever."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence

import nats.errors
from nats.aio.client import Client

from drift_bus.errors import CommandError, UsageProblem, complain
from drift_bus.progress import progress
from drift_bus.settings import CommandSettings
from drift_schemas.access import AccessError, NatsAccess, NatsLogin, close_quietly, end, explain

__all__ = ["connected"]

CONNECT_TIMEOUT_S = 4.0


@contextlib.asynccontextmanager
async def connected(
    servers: Sequence[str], *, access: NatsAccess | None = None, timeout_s: float = CONNECT_TIMEOUT_S
) -> AsyncIterator[Client]:
    """A connection for as long as the ``async with`` lasts; losing it is told on stderr.

    Args:
        servers: URLs.
        access: Credentials and certificates; by default those of the settings, for no flag names any.
        timeout_s: How long the server may take.

    Raises:
        CommandError: no server answered within ``timeout_s``, or it refused us.
        UsageProblem: credentials or certificates cannot be used.
    """
    reporter, client = _Reporter(), Client()
    where = ", ".join(servers)
    try:
        login = (access or CommandSettings.load().nats_access()).login()
    except AccessError as error:
        raise UsageProblem(str(error)) from None
    try:
        async with progress(f"connecting to {where}"):
            await _connect(client, servers, login, reporter, timeout_s)
        reporter.connected = True
        yield client
    finally:
        reporter.connected = False
        await close_quietly(client)


async def _connect(
    client: Client, servers: Sequence[str], login: NatsLogin, reporter: _Reporter, timeout_s: float
) -> None:
    connecting = asyncio.create_task(
        client.connect(
            list(servers),
            name="drift-bus",
            error_cb=reporter.on_error,
            disconnected_cb=reporter.on_disconnected,
            reconnected_cb=reporter.on_reconnected,
            connect_timeout=2,
            reconnect_time_wait=1,
            max_reconnect_attempts=-1,
            ping_interval=5,
            **login.options_for(client),
        )
    )
    refused = asyncio.create_task(reporter.refused.wait())
    try:
        await asyncio.wait({connecting, refused}, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
        if connecting.done():
            await connecting
            return
    except (nats.errors.Error, OSError, ValueError) as error:
        reporter.last_error = error
    finally:
        await end(connecting, refused)
    where = ", ".join(servers)
    if reporter.refused.is_set():
        raise CommandError(f"{where} refused the connection: {reporter.reason}")
    raise CommandError(
        f"no NATS server at {where} ({reporter.reason}): start one with 'drift-bus up --demo', "
        "or name a running one with --nats-url"
    )


class _Reporter:
    """The client's callbacks; they must not raise, or its read loop ends."""

    def __init__(self) -> None:
        self.connected = False
        self.last_error: Exception | None = None
        self.meaning: str | None = None
        self.refused = asyncio.Event()

    @property
    def reason(self) -> str:
        if self.last_error is None:
            return "no answer"
        if self.meaning is not None:
            return self.meaning
        text = str(self.last_error) or type(self.last_error).__name__
        if isinstance(self.last_error, ConnectionRefusedError):
            return "connection refused"
        return text.removeprefix("nats: ")

    async def on_error(self, error: Exception) -> None:
        self.last_error = error
        text = str(error).lower()
        meaning = None if self.connected else explain(error, logging_in=True)
        if meaning is not None:
            self.meaning = self.meaning or meaning
            self.refused.set()
        if self.connected and ("permissions violation" in text or isinstance(error, nats.errors.SlowConsumerError)):
            complain(f"NATS: {error}")

    async def on_disconnected(self) -> None:
        if self.connected:
            complain("connection to NATS lost; reconnecting …")

    async def on_reconnected(self) -> None:
        if self.connected:
            complain("connected to NATS again")
