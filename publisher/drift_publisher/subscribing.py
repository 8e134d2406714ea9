"""Makes the subscriptions of one socket: all at once, or as slowly as the endpoint takes them."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Iterable
from typing import Final

from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from drift_publisher.endpoints import Endpoint
from drift_publisher.socket_opening import SocketLost
from drift_publisher.subscription_table import Request, SubscriptionTable

__all__ = ["Subscriber"]

_log = logging.getLogger(__name__)
_ANSWER_S: Final = 15.0
_FIRST_PACE_S: Final = 0.2
_SHORTEST_PACE_S: Final = 0.05
_LONGEST_PACE_S: Final = 4.0
_REFUSALS_THAT_SAY_NEVER: Final = 8


class Subscriber:
    """Brings the subscriptions of one socket to what they should be.

    Args:
        socket: Where they are made.
        endpoint: Its limit is learned from what happens.
        table: Which of them there are; whoever reads the socket tells it the answers.
    """

    def __init__(self, socket: ClientConnection, endpoint: Endpoint, table: SubscriptionTable) -> None:
        self._socket = socket
        self._endpoint = endpoint
        self._table = table
        self._is_one_by_one = False

    async def become(self, wanted: tuple[Request, ...]) -> None:
        """Ends what is not wanted and makes what is missing.

        All is asked for at once; one by one from where a socket of this endpoint was cut before. What was refused is
        asked for again, at a pace.

        Raises:
            SocketLost: the endpoint does not answer, or takes no more.
        """
        await self.end(self._table.superfluous(wanted))
        missing, at_once = self._table.missing(wanted), self._endpoint.limit.at_once
        first = len(missing) if at_once is None else max(0, at_once - len(self._table))
        await self._ask(missing[:first])
        self._is_one_by_one = True
        for request in missing[first:]:
            await self._ask([request])
        await self._ask_again()
        self._is_one_by_one = False
        self._endpoint.limit.made()

    async def end(self, numbers: Iterable[int]) -> None:
        """Ends these subscriptions."""
        await self._send(map(self._table.close, numbers))

    def was_cut(self, why: str) -> SocketLost:
        """The loss of a socket that the server closed; where that was at a subscription, it may have met a limit."""
        if not self._table.waiting:
            return SocketLost(why)
        count, one_by_one = len(self._table), self._is_one_by_one
        where = _ordinal(count + 1) if one_by_one else f"{_ordinal(count + 1)} or a later"
        return self._lost(
            f"{why} at its {where} subscription", taught=self._endpoint.limit.cut_after(count, one_by_one=one_by_one)
        )

    async def _ask_again(self) -> None:
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
            await self._ask([request])
            again = self._table.take_refused()
            refused.extendleft(reversed(again))
            pause_s = max((one.refusal.retry_after_s for one in again), default=0.0)
            in_a_row = in_a_row + 1 if again else 0
            pace_s = min(2 * pace_s, _LONGEST_PACE_S) if again else max(0.8 * pace_s, _SHORTEST_PACE_S)
            if in_a_row >= _REFUSALS_THAT_SAY_NEVER:
                count = len(self._table)
                why = f"the server refuses the {_ordinal(count + 1)} subscription of a socket ({last.said})"
                raise self._lost(why, taught=self._endpoint.limit.refused_after(count))

    async def _ask(self, requests: Iterable[Request]) -> None:
        await self._send(map(self._table.open, requests))
        while not self._table.all_answered.is_set():
            before = self._table.answers
            try:
                async with asyncio.timeout(_ANSWER_S):
                    await self._table.all_answered.wait()
            except TimeoutError:
                if self._table.answers == before:
                    raise SocketLost(f"a subscription was not answered within {_ANSWER_S:g} s") from None

    async def _send(self, messages: Iterable[str]) -> None:
        with contextlib.suppress(ConnectionClosed):  # whoever reads the socket says so
            for message in list(messages):
                self._endpoint.traffic.bytes_out += len(message)
                await self._socket.send(message)

    def _lost(self, why: str, *, taught: bool) -> SocketLost:
        if taught:
            why += (
                f": from now on a socket gets {self._endpoint.limit.most} at most, and the rest goes to further ones; "
                "set DRIFT_BUS_WS_SUBSCRIPTIONS_PER_SOCKET to have it so from the start"
            )
        return SocketLost(why, is_lesson=taught)


def _ordinal(number: int) -> str:
    ending = {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th") if number % 100 not in (11, 12, 13) else "th"
    return f"{number}{ending}"
