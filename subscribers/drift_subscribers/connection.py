"""The one NATS connection of a feed: opened with patience, reopened for ever, callbacks that cannot hurt."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final, Protocol

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as NatsError
from nats.errors import SlowConsumerError
from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_delay, wait_random_exponential
from tenacity.stop import stop_base, stop_never

from drift_schemas.access import AccessError, NatsAccess, NatsLogin, apart, close_quietly, explain, hide_seeds, is_dead
from drift_subscribers.errors import CannotConnect
from drift_subscribers.servers import server_list
from drift_subscribers.statistics import Counters

__all__ = ["Connection", "Handler", "LineListener"]

_log = logging.getLogger("drift_subscribers")
_SECRET: Final = re.compile(r"(//)[^/@\s]+@")
_PAUSE_S: Final = 1.0

Handler = Callable[[Msg], Awaitable[None]]


class LineListener(Protocol):
    """Who wants to know about the line; none of these may wait or raise."""

    def line_lost(self) -> None:
        """The line is lost."""

    def line_back(self) -> None:
        """The line is back, with all subscriptions; what was stored in between was missed."""

    def line_overflowed(self) -> None:
        """The client library dropped messages because we were slow."""


class Connection:
    """Holds the client and the subscriptions, and tells when the line is lost and when it is back.

    nats-py reconnects by itself; where it gives up (a refused login, for one) a new client takes over with
    the same subscriptions. Its callbacks only count, log and set events: one that raised would end its read
    loop.

    Args:
        servers: NATS URLs, as a list or separated by commas.
        connect_timeout_s: Patience for the first connection.
        ping_interval_s: A silent server is noticed within about three of these.
        inbox_prefix: Where answers come; permissions are given by it.
        options: Further arguments of nats-py's ``connect``.
        access: Who we are at the server, and whom we trust.
        counters: Where disconnects and overflows are counted.
    """

    def __init__(
        self,
        servers: str | Sequence[str],
        *,
        connect_timeout_s: float,
        ping_interval_s: float,
        inbox_prefix: str,
        options: Mapping[str, Any],
        counters: Counters,
        access: NatsAccess | None = None,
    ) -> None:
        self._servers = server_list(servers)
        self._connect_timeout_s = connect_timeout_s
        self._options = {"ping_interval": ping_interval_s, "inbox_prefix": inbox_prefix, **options}
        self._counters = counters
        self._access = access or NatsAccess()
        self._login: NatsLogin | None = None
        self._listener: LineListener | None = None
        self._client: Client | None = None
        self._subscriptions: list[tuple[str, Handler, int, int]] = []
        self._given_up = asyncio.Event()
        self._closing = False
        self._last_error = ""

    @property
    def connected(self) -> bool:
        """There is a line now."""
        return self._client is not None and self._client.is_connected

    @property
    def last_error(self) -> str:
        """What the server or the line complained about last; empty after a reconnect."""
        return self._last_error

    @property
    def client(self) -> Client:
        """The client of now; another one after nats-py gave up on the last."""
        if self._client is None:
            raise CannotConnect("not connected yet")
        return self._client

    def tell(self, listener: LineListener) -> None:
        """Names who is to hear of the line from now on."""
        self._listener = listener

    async def open(self) -> None:
        """Connects, trying again with jitter until the connect timeout is over.

        Raises:
            CannotConnect: nobody answered, the login was refused, or there is something wrong with its files.
        """
        try:
            self._login = self._access.login()
        except AccessError as error:
            raise CannotConnect(str(error)) from None
        try:
            async with asyncio.timeout(self._connect_timeout_s):
                await self._connect(stop_after_delay(self._connect_timeout_s))
        except (TimeoutError, NatsError, OSError) as error:
            why = explain(error, logging_in=True) or self._last_error or type(error).__name__
            where = ", ".join(_redacted(server) for server in self._servers)
            raise CannotConnect(f"no NATS at {where} within {self._connect_timeout_s:g} s: {why}") from None

    async def subscribe(self, subject: str, handler: Handler, *, messages: int, size: int) -> None:
        """Subscribes now and with every later client; at most ``messages`` and ``size`` bytes wait for us."""
        self._subscriptions.append((subject, handler, messages, size))
        await self._subscribe(self.client, subject, handler, messages, size)

    async def run(self) -> None:
        """Replaces the client whenever nats-py gives up on it; runs until it is cancelled."""
        while True:
            await self._until_given_up()
            _log.warning("the NATS client gave up (%s); a new one takes over", self._last_error or "closed")
            await close_quietly(self.client)  # it may have stopped half-way
            self._given_up.clear()
            try:
                await self._connect(stop_never)
                for subscription in self._subscriptions:
                    await self._subscribe(self.client, *subscription)
            except NatsError as error:
                self._last_error = _redacted(f"{type(error).__name__}: {error}")
                self._given_up.set()
                await asyncio.sleep(_PAUSE_S)
                continue
            self._tell_back()

    async def _until_given_up(self) -> None:
        """Also looks by itself: a client whose end fails at a socket that is gone never tells of it."""
        while not (self._given_up.is_set() or is_dead(self.client)):
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_PAUSE_S):
                    await self._given_up.wait()

    async def close(self) -> None:
        """Closes the line for good."""
        self._closing = True
        if self._client is not None:
            await close_quietly(self._client)

    async def _connect(self, stop: stop_base) -> None:
        retrying = AsyncRetrying(
            stop=stop,
            wait=wait_random_exponential(multiplier=0.1, max=2),
            retry=retry_if_exception_type((NatsError, OSError, TimeoutError)),
            reraise=True,
        )
        async for attempt in retrying:
            with attempt:
                self._client = await self._connect_once()

    async def _connect_once(self) -> Client:
        client = Client()

        async def lost() -> None:
            if self._client is client and not self._closing:
                self._counters.disconnects += 1
                if self._listener is not None:
                    self._listener.line_lost()

        async def back() -> None:
            self._last_error = ""
            self._tell_back()

        async def gave_up() -> None:
            if self._client is client and not self._closing:
                self._given_up.set()

        try:
            # Two quick tries and an honest failure: with unlimited attempts nats-py would never return.
            connecting = client.connect(
                list(self._servers),
                name="drift-feed",
                connect_timeout=2,
                max_reconnect_attempts=1,
                reconnect_time_wait=0.1,  # type: ignore[arg-type]
                max_outstanding_pings=2,
                error_cb=self._noted,
                disconnected_cb=lost,
                reconnected_cb=back,
                closed_cb=gave_up,
                **{**self._options, **(self._login.options_for(client) if self._login else {})},
            )
            await apart(connecting, name="connecting to NATS")
        except BaseException:
            client.options["allow_reconnect"] = False
            await close_quietly(client)
            raise
        client.options["max_reconnect_attempts"] = -1
        client.options["reconnect_time_wait"] = 0.5
        return client

    @staticmethod
    async def _subscribe(client: Client, subject: str, handler: Handler, messages: int, size: int) -> None:
        await client.subscribe(subject, cb=handler, pending_msgs_limit=messages, pending_bytes_limit=size)

    def _tell_back(self) -> None:
        if self._listener is not None:
            self._listener.line_back()

    async def _noted(self, error: Exception) -> None:
        if isinstance(error, SlowConsumerError):
            self._counters.overflows += 1
            if self._listener is not None:
                self._listener.line_overflowed()
            return
        logging_in = self._client is None
        text = explain(error, logging_in=logging_in) or _redacted(f"{type(error).__name__}: {error}")
        if text != self._last_error:
            # What keeps us from connecting the first time is in the error that is raised for it.
            _log.log(logging.INFO if logging_in else logging.WARNING, "NATS: %s", text)
        self._last_error = text


def _redacted(text: str) -> str:
    return hide_seeds(_SECRET.sub(r"\1…@", text))
