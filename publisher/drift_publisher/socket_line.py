"""One socket of a session: it makes the subscriptions it is to carry, and its own slots prove it alive."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from base64 import b64decode
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

import orjson
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from drift_publisher.backoff import Backoff
from drift_publisher.endpoints import Endpoint
from drift_publisher.proving import Probation
from drift_publisher.quiet import QuietSubscriptions
from drift_publisher.redact import redact
from drift_publisher.socket_opening import SocketLost, open_socket
from drift_publisher.source import AccountUpdate, SourceStatus
from drift_publisher.subscription_table import Request, SubscriptionTable

__all__ = ["SocketLine"]

_log = logging.getLogger(__name__)
_ANSWER_S: Final = 15.0
_FIRST_PACE_S: Final = 0.2
_SHORTEST_PACE_S: Final = 0.05
_LONGEST_PACE_S: Final = 4.0
_REFUSALS_THAT_SAY_NEVER: Final = 8


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
        self._is_one_by_one = False

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
            try:
                on_change()
                async with asyncio.TaskGroup() as tasks:
                    tasks.create_task(self._read(socket), name="websocket-reader")
                    tasks.create_task(self._subscribe(socket, on_change), name="websocket-subscriber")
                    tasks.create_task(self._renew_quiet(socket), name="websocket-quiet")
                    tasks.create_task(self.node.watch(), name="websocket-watch")
            finally:
                self.is_open = False
                self.made.clear()

    async def _subscribe(self, socket: ClientConnection, on_change: Callable[[], None]) -> None:
        """Sends what it is to carry and waits for every confirmation; again on every change."""
        while True:
            self._changed.clear()
            await self._send(socket, map(self._table.close, self._table.superfluous(self.carried)))
            await self._make(socket, self._table.missing(self.carried))
            if not self._changed.is_set():
                self._endpoint.limit.made()
                self.made.set()
                on_change()
            await self._changed.wait()

    async def _make(self, socket: ClientConnection, missing: list[Request]) -> None:
        """Asks for all at once; one by one from where a socket was cut before; again, at a pace, for the refused."""
        at_once = self._endpoint.limit.at_once
        first = len(missing) if at_once is None else max(0, at_once - len(self._table))
        await self._ask(socket, missing[:first])
        self._is_one_by_one = True
        for request in missing[first:]:
            await self._ask(socket, [request])
        await self._ask_again(socket)
        self._is_one_by_one = False

    async def _ask_again(self, socket: ClientConnection) -> None:
        """Asks for what was refused until it is taken; the subscriptions that were taken stay as they are."""
        refused = deque(self._table.take_refused())
        if refused:
            said = refused[0].refusal.said
            _log.info("%s: %d subscriptions refused (%s), asking again", self._endpoint.name, len(refused), said)
        pace_s, in_a_row = _FIRST_PACE_S, 0
        pause_s = max((one.refusal.retry_after_s for one in refused), default=0.0)
        while refused:
            await asyncio.sleep(max(pace_s, pause_s))
            request, last = refused.popleft()
            await self._ask(socket, [request])
            again = self._table.take_refused()
            refused.extendleft(reversed(again))
            pause_s = max((one.refusal.retry_after_s for one in again), default=0.0)
            in_a_row = in_a_row + 1 if again else 0
            pace_s = min(2 * pace_s, _LONGEST_PACE_S) if again else max(0.8 * pace_s, _SHORTEST_PACE_S)
            if in_a_row >= _REFUSALS_THAT_SAY_NEVER:
                count = len(self._table)
                why = f"the server refuses the {_ordinal(count + 1)} subscription of a socket ({last.said})"
                raise self._lost(why, is_lesson=self._endpoint.limit.refused_after(count))

    async def _ask(self, socket: ClientConnection, requests: Iterable[Request]) -> None:
        await self._send(socket, map(self._table.open, requests))
        while not self._table.all_answered.is_set():
            before = self._table.answers
            try:
                async with asyncio.timeout(_ANSWER_S):
                    await self._table.all_answered.wait()
            except TimeoutError:
                if self._table.answers == before:
                    raise SocketLost(f"a subscription was not answered within {_ANSWER_S:g} s") from None

    async def _send(self, socket: ClientConnection, messages: Iterable[str]) -> None:
        with contextlib.suppress(ConnectionClosed):  # the reader says so
            for message in list(messages):
                self._endpoint.traffic.bytes_out += len(message)
                await socket.send(message)

    async def _renew_quiet(self, socket: ClientConnection) -> None:
        """Ends subscriptions that fell silent; they are made anew, and what was missed is read."""
        while True:
            await asyncio.sleep(self._quiet_look_s)
            if quiet := self._quiet.take(time.monotonic()):
                _log.info("%s: %d subscriptions fell silent, making them anew", self._endpoint.name, len(quiet))
                self._status.renewed += len(quiet)
                await self._send(socket, map(self._table.close, self._table.numbers_of(quiet)))
                self.made.clear()
                self._changed.set()

    async def _read(self, socket: ClientConnection) -> None:
        loop, silence_s = asyncio.get_running_loop(), self._status.silence_s
        why = "the server closed the socket"
        try:
            async with asyncio.timeout(silence_s) as silence:
                async for raw in socket:
                    self._endpoint.traffic.bytes_in += len(raw)
                    if self._handle(_parse(raw)):
                        silence.reschedule(loop.time() + silence_s)
                        self._backoff.healthy()
        except TimeoutError:
            raise SocketLost(self.node.told.silence(silence_s)) from None
        except ConnectionClosed as closed:
            why = f"{why} ({redact(str(closed))})"
        raise self._cut(why)

    def _cut(self, why: str) -> SocketLost:
        """The loss of a socket that was closed; where it was closed as it subscribed, it may have met a limit."""
        if not self._table.waiting:
            return SocketLost(why)
        count = len(self._table)
        is_lesson = self._endpoint.limit.cut_after(count, one_by_one=self._is_one_by_one)
        where = _ordinal(count + 1) if self._is_one_by_one else f"{_ordinal(count + 1)} or a later"
        return self._lost(f"{why} at its {where} subscription", is_lesson=is_lesson)

    def _lost(self, why: str, *, is_lesson: bool) -> SocketLost:
        if is_lesson:
            why += (
                f": from now on a socket gets {self._endpoint.limit.most} at most, and the rest goes to further ones; "
                "set DRIFT_BUS_WS_SUBSCRIPTIONS_PER_SOCKET to have it so from the start"
            )
        return SocketLost(why, is_lesson=is_lesson)

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
        value = result["value"]
        address = value["pubkey"] if request.kind == "program" else request.target
        account = value["account"] if request.kind == "program" else value
        data = None if account is None else b64decode(account["data"][0])
        if account is not None and account["lamports"] == 0:
            data = None
        owner = "" if account is None else account["owner"]
        return AccountUpdate(str(address), str(owner), int(result["context"]["slot"]), data, time.time_ns())


def _parse(raw: str | bytes) -> dict[str, Any]:
    try:
        message = orjson.loads(raw)
    except orjson.JSONDecodeError:
        raise SocketLost("the server sent something that is no JSON") from None
    if not isinstance(message, dict):
        raise SocketLost("the server sent something that is no JSON-RPC message")
    return message


def _ordinal(number: int) -> str:
    ending = {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th") if number % 100 not in (11, 12, 13) else "th"
    return f"{number}{ending}"
