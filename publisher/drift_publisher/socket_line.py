"""One socket of a session: it makes the subscriptions it is to carry, and its own slots prove it alive."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from typing import Any

from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from drift_publisher.backoff import Backoff
from drift_publisher.endpoints import Endpoint
from drift_publisher.notifications import account_in, message_in
from drift_publisher.proving import Probation
from drift_publisher.quiet import QuietSubscriptions
from drift_publisher.redact import redact
from drift_publisher.socket_opening import SocketLost, open_socket
from drift_publisher.source import AccountUpdate, SourceStatus
from drift_publisher.subscribing import Subscriber
from drift_publisher.subscription_table import Request, SubscriptionTable

__all__ = ["SocketLine"]

_log = logging.getLogger(__name__)


class SocketLine:
    """One socket to an endpoint, with its own heartbeat; it lives as long as :meth:`run` runs.

    Args:
        endpoint: Where to.
        node: Takes what it tells, once the node behind it is proven.
        status: Counts what is told, and knows which slots are from the future.
        backoff: Hears of every new slot.
        commitment: Solana commitment of the subscriptions.
        ping_s: Send a ping so often.
        quiet_s: Shortest silence of one subscription that is looked into.

    Attributes:
        node: As given.
        carried: What it is to carry, without the heartbeat.
        made: Set while it has every subscription that it is to carry.
        is_open: The handshake has succeeded.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        node: Probation,
        status: SourceStatus,
        backoff: Backoff,
        *,
        commitment: str,
        ping_s: float,
        quiet_s: float,
    ) -> None:
        self.carried: tuple[Request, ...] = ()
        self.made = asyncio.Event()
        self.is_open = False
        self._endpoint = endpoint
        self.node = node
        self._status = status
        self._backoff = backoff
        self._ping_s = ping_s
        self._table = SubscriptionTable(commitment)
        self._quiet = QuietSubscriptions(quiet_s)
        self._quiet_look_s = quiet_s / 3
        self._changed = asyncio.Event()

    def __len__(self) -> int:
        return len(self._table)

    def carry(self, requests: Sequence[Request]) -> None:
        """Sets what it is to carry from now on; it makes what is new and ends what is gone."""
        if self.carried != tuple(requests):
            self.carried = tuple(requests)
            self.made.clear()
            self._changed.set()

    async def run(self, on_change: Callable[[], None]) -> None:
        """Opens the socket and keeps it.

        Args:
            on_change: Called when it has opened, or has made its subscriptions.

        Raises:
            SocketLost: it is of no more use; the text says why.
            SubscriptionRefused: the node does not know such a subscription.
        """
        async with open_socket(self._endpoint, ping_s=self._ping_s) as socket:
            self.is_open = True
            subscriber = Subscriber(socket, self._endpoint, self._table)
            try:
                on_change()
                async with asyncio.TaskGroup() as tasks:
                    tasks.create_task(self._read(socket, subscriber), name="websocket-reader")
                    tasks.create_task(self._subscribe(subscriber, on_change), name="websocket-subscriber")
                    tasks.create_task(self._renew_quiet(subscriber), name="websocket-quiet")
                    tasks.create_task(self.node.watch(), name="websocket-watch")
            finally:
                self.is_open = False
                self.made.clear()

    async def _subscribe(self, subscriber: Subscriber, on_change: Callable[[], None]) -> None:
        """Has what it is to carry subscribed; again on every change."""
        while True:
            self._changed.clear()
            await subscriber.become(self.carried)
            if not self._changed.is_set():
                self.made.set()
                on_change()
            await self._changed.wait()

    async def _renew_quiet(self, subscriber: Subscriber) -> None:
        """Ends subscriptions that fell silent; they are made anew, and what was missed is read."""
        while True:
            await asyncio.sleep(self._quiet_look_s)
            if quiet := self._quiet.take(time.monotonic()):
                _log.info("%s: %d subscriptions fell silent, making them anew", self._endpoint.name, len(quiet))
                self._status.renewed += len(quiet)
                await subscriber.end(self._table.numbers_of(quiet))
                self.made.clear()
                self._changed.set()

    async def _read(self, socket: ClientConnection, subscriber: Subscriber) -> None:
        loop, silence_s = asyncio.get_running_loop(), self._status.silence_s
        why = "the server closed the socket"
        try:
            async with asyncio.timeout(silence_s) as silence:
                async for raw in socket:
                    self._endpoint.traffic.bytes_in += len(raw)
                    if self._handle(message_in(raw)):
                        silence.reschedule(loop.time() + silence_s)
                        self._backoff.healthy()
        except TimeoutError:
            raise SocketLost(self.node.told.silence(silence_s)) from None
        except ConnectionClosed as closed:
            why = f"{why} ({redact(str(closed))})"
        raise subscriber.was_cut(why)

    def _handle(self, message: dict[str, Any]) -> bool:
        """Takes one message; says whether it was a new slot."""
        if "method" in message:
            return self._notify(message)
        try:
            early = self._table.confirm(message)
        except TypeError:
            raise SocketLost("an answer that makes no sense") from None
        for notification in early:
            self._notify(notification)
        return False

    def _notify(self, message: dict[str, Any]) -> bool:
        try:
            news = self._read_notification(message)
        except (LookupError, TypeError, ValueError) as error:
            raise SocketLost(f"a notification that makes no sense ({type(error).__name__})") from None
        if isinstance(news, AccountUpdate):
            self.node.tell_account(news)
        return isinstance(news, int) and self.node.tell_slot(news)

    def _read_notification(self, message: dict[str, Any]) -> AccountUpdate | int | None:
        """The account or the slot that a notification tells of."""
        params = message["params"]
        request = self._table.request_of(params["subscription"], message)
        if request is None:
            return None
        result = params["result"]
        if request.kind == "slot":
            slot = int(result["slot"])
            if self._status.is_from_the_future(slot):
                raise SocketLost(f"slot {slot} after slot {self._status.slot}: no chain is that fast")
            return slot
        self._quiet.heard(request, time.monotonic())
        self._status.notified += 1
        return account_in(request, result)
