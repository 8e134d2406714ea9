"""Where live messages come in: the short way for one in order, the long way for everything else."""

from __future__ import annotations

import logging
from collections.abc import Callable

from nats.aio.msg import Msg

from drift_subscribers.direct import DirectReader
from drift_subscribers.keeper import Keeper
from drift_subscribers.lane import Lane
from drift_subscribers.position import StreamPosition
from drift_subscribers.server_clock import ServerClock
from drift_subscribers.statistics import Counters

__all__ = ["Intake"]

_log = logging.getLogger("drift_subscribers")


class Intake:
    """Handles the live messages of one lane; nothing that a message holds can make it raise.

    While the gate is closed, and while a gap is being repaired, further messages wait in the subscription's
    own bounded queue. What does not fit there is dropped by the client library, and shows as a gap
    afterwards.
    """

    def __init__(
        self,
        lane: Lane,
        *,
        keeper: Keeper,
        reader: DirectReader,
        position: StreamPosition,
        server_clock: ServerClock,
        counters: Counters,
        clock: Callable[[], float],
    ) -> None:
        self._lane = lane
        self._keeper = keeper
        self._reader = reader
        self._position = position
        self._server_clock = server_clock
        self._counters = counters
        self._clock = clock

    async def on_message(self, message: Msg) -> None:
        """Takes one live message in its order."""
        try:
            received_at = self._clock()
            if not self._keeper.gate.is_set():
                await self._keeper.gate.wait()
            envelope = self._lane.address(message)
            if envelope is None:
                return
            if self._position.went_back(envelope) and self._keeper.suspect():
                await self._keeper.gate.wait()
            if not self._lane.is_news(envelope):
                self._counters.duplicates += 1
                return
            if envelope.previous > self._lane.last_sequence(envelope.token):
                await self._lane.repair(self._reader, envelope.token, envelope.sequence)
            if self._server_clock.doubts(envelope.sequence, envelope.stamp_ns, received_at):
                await self._keeper.check_time()
            confirmed_at = self._server_clock.live(envelope.sequence, envelope.stamp_ns, received_at)
            delivery = self._lane.open(envelope, message)
            if delivery is not None:
                self._lane.take(delivery, confirmed_at)
        except Exception:
            _log.exception("a message on %s could not be taken", message.subject)
