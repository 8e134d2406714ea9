"""The lease: the right to lead, held by compare-and-set on one subject whose message expires by itself."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import time
from collections.abc import Callable
from typing import Final

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as NatsError
from nats.errors import NoRespondersError

from drift_publisher.asking import WRONG_SEQUENCE, ask, behind
from drift_publisher.errors import PrefixTaken
from drift_schemas import SEQUENCE_HEADER, TTL_HEADER, Topology

__all__ = ["Lease", "LeaseLost"]

_log = logging.getLogger(__name__)
_ANSWER_S: Final = 0.5
_TRY_EVERY_S: Final = 0.05
_UNFIT_WAITS_S: Final = 3.0
_SAFETY_S: Final = 0.25
_RENEWALS_PER_TTL: Final = 4


class LeaseLost(RuntimeError):
    """This process may no longer lead; the text says why."""


class _NotOurs(RuntimeError):
    """The subject's last message is not the one that we expected."""


class Lease:
    """One publisher's hold on the lead.

    The server drops the lease ``ttl_s`` after its last renewal; the holder stops a little earlier, by its own
    steady clock, whatever it can or cannot hear. A holder that was only slow tries once more by compare-and-set: where
    nobody else took the lease meanwhile, it goes on. That two publishers both think they lead for a moment is therefore
    rare, and harmless: the epoch fences the stream.

    Args:
        nats: A connection that may write to the stream.
        topology: Names of stream and subjects.
        publisher_id: Who holds it.
        publishes: What it publishes: program and cluster. Who publishes something else cannot stand by for it.
        ttl_s: How long a lease outlives its holder, whole seconds.

    Attributes:
        since_ns: When it became ours, Unix nanoseconds; ``None`` while it is not.
    """

    def __init__(self, nats: Client, topology: Topology, publisher_id: str, *, publishes: str, ttl_s: int = 2) -> None:
        self.since_ns: int | None = None
        self._nats = nats
        self._stream = topology.stream
        self._held_at = topology.api.direct_get(topology.stream, topology.subjects.lease)
        self._subject = topology.subjects.lease
        self._publisher_id = publisher_id
        self._publishes = publishes
        self._prefix = topology.prefix
        self._ttl_s = ttl_s
        self._holder_publishes = publishes
        self._sequence = 0
        self._valid_until = 0.0
        self._free_after = 0
        self._heard_at = float("-inf")
        self._holder = ""
        self._refusal = "the lease is not ours yet"

    @property
    def is_held(self) -> bool:
        """It is ours, by our own clock."""
        return self.since_ns is not None and time.monotonic() < self._valid_until

    @property
    def why_not_held(self) -> str:
        """Who holds it in our place, or why nobody does."""
        if self._holder and time.monotonic() - self._heard_at < self._ttl_s:
            return f"publisher {self._holder} leads, this one stands by"
        return f"nobody leads: {self._refusal}"

    async def acquire(self, is_fit: Callable[[], bool] = lambda: True) -> None:
        """Waits until the lease is ours. Cancel it to give up waiting.

        Args:
            is_fit: Whether we would lead well; who would not leaves a free lease to others for some seconds.

        Raises:
            PrefixTaken: its holder publishes something else.
        """
        self._heard_at = time.monotonic() - self._ttl_s
        self._holder_publishes = self._publishes
        subscription = await self._nats.subscribe(self._subject, cb=self._on_lease)
        try:
            while True:
                self._refuse_other_data()
                if self._may_be_free(0.0 if is_fit() else _UNFIT_WAITS_S) and await self._take():
                    return
                await asyncio.sleep(_TRY_EVERY_S)
        finally:
            if not self._nats.is_closed:
                await subscription.unsubscribe()

    async def keep(self) -> None:
        """Renews the lease until that is no longer possible.

        Raises:
            LeaseLost: somebody else holds it, or NATS did not answer in time.
        """
        while True:
            await asyncio.sleep(self._ttl_s / _RENEWALS_PER_TTL)
            try:
                await self._renew()
            except LeaseLost:
                self.since_ns = None
                raise

    async def resign(self) -> None:
        """Gives the lease up, so that another takes it at once; does nothing when it is not ours."""
        if not self.is_held:
            return
        self.since_ns = None
        with contextlib.suppress(_NotOurs, LeaseLost, NatsError, TimeoutError):
            try:
                self._free_after = await self._put(self._sequence, resigned=True)
            except _NotOurs:  # a renewal was on its way when we were told to stop
                await self._adopt()
                self._free_after = await self._put(self._sequence, resigned=True)

    def _refuse_other_data(self) -> None:
        if self._holder_publishes != self._publishes:
            raise PrefixTaken(
                f"the prefix {self._prefix!r} is led by a publisher of {self._holder_publishes}, and this one is of "
                f"{self._publishes}: give it a prefix of its own (DRIFT_BUS_SUBJECT_PREFIX, --prefix), or the same "
                "program and cluster (DRIFT_BUS_PROGRAM, DRIFT_BUS_CLUSTER)"
            )

    def _may_be_free(self, patience_s: float) -> bool:
        patience_s += 0.0 if self._free_after else self._ttl_s
        return time.monotonic() - self._heard_at >= patience_s

    async def _take(self) -> bool:
        began = time.monotonic()
        try:
            self._sequence = await self._put(self._free_after)
        except _NotOurs:
            self._free_after, self._refusal = await self._given_up(), "the last lease has not run out yet"
            return False
        except NoRespondersError:
            self._refusal = f"the stream {self._stream} is not there"
            return False
        except (NatsError, TimeoutError) as error:
            self._refusal = f"the stream {self._stream} does not take the lease ({_why(error)})"
            return False
        self.since_ns, self._valid_until = time.time_ns(), began + self._ttl_s - _SAFETY_S
        self._free_after = 0
        return True

    async def _given_up(self) -> int:
        """Where the lease stands that its holder gave up before we listened, and that need not run out; or 0."""
        try:
            found = await ask(self._nats, self._held_at, timeout_s=_ANSWER_S)
        except (NatsError, TimeoutError):
            return 0
        said = json.loads(found.data or b"{}")
        is_free = said.get("resigned", False) and said["publisher_id"] != self._publisher_id
        return int((found.headers or {}).get(SEQUENCE_HEADER, 0)) if is_free else 0

    async def _renew(self) -> None:
        while True:
            began = time.monotonic()
            if began >= self._valid_until:
                await self._regain()
                return
            try:
                self._sequence = await self._put(self._sequence)
            except _NotOurs:
                await self._adopt()
            except (NatsError, TimeoutError) as error:
                _log.debug("lease: no answer (%s)", type(error).__name__)
                await asyncio.sleep(_TRY_EVERY_S)
            else:
                self._valid_until = began + self._ttl_s - _SAFETY_S
                return

    async def _regain(self) -> None:
        """Tries once to hold on to a lease that ran out by our clock, as it does where the machine is too busy.

        The compare-and-set fails where another publisher took it. One that had it and lost it again has moved the
        epoch, so the stream refuses what we send, and the term ends by that.
        """
        began = time.monotonic()
        late_s = began - self._valid_until
        try:
            try:
                self._sequence = await self._put(self._sequence, answer_s=self._ttl_s)
            except _NotOurs:
                if await self._adopt():
                    self._sequence = await self._put(self._sequence, answer_s=self._ttl_s)
        except _NotOurs:
            raise LeaseLost("another publisher leads") from None
        except (NatsError, TimeoutError) as error:
            raise LeaseLost(f"the stream did not confirm the lease in time ({_why(error)})") from None
        self._valid_until = began + self._ttl_s - _SAFETY_S
        _log.warning("the lease had run out %.2f s before, and nobody else took it: leading on", late_s)

    async def _adopt(self) -> bool:
        """Looks whose lease stands there: one of ours whose answer got lost, or none any more; says if it could.

        Raises:
            LeaseLost: it is another publisher's.
        """
        try:
            found = await ask(self._nats, self._held_at, timeout_s=_ANSWER_S)
        except (NatsError, TimeoutError):
            return False
        if found.data and json.loads(found.data).get("publisher_id") != self._publisher_id:
            raise LeaseLost("another publisher leads")
        self._sequence = int((found.headers or {}).get(SEQUENCE_HEADER, 0)) if found.data else 0
        return True

    async def _on_lease(self, message: Msg) -> None:
        said = json.loads(message.data)
        is_ours = said.get("publisher_id") == self._publisher_id
        is_free = said.get("resigned", False) and not is_ours
        self._holder = "" if is_ours or said.get("resigned") else str(said.get("publisher_id", ""))
        self._free_after = int((message.headers or {}).get(SEQUENCE_HEADER, 0)) if is_free else 0
        self._holder_publishes = self._publishes if said.get("resigned") else said.get("publishes", self._publishes)
        self._heard_at = time.monotonic()

    async def _put(self, expected: int, *, resigned: bool = False, answer_s: float = _ANSWER_S) -> int:
        body = {
            "publisher_id": self._publisher_id,
            "publishes": self._publishes,
            "since_ns": self.since_ns or time.time_ns(),
        }
        headers = {TTL_HEADER: f"{self._ttl_s}s", **behind(self._subject, expected)}
        payload = json.dumps({**body, "resigned": True} if resigned else body).encode()
        reply = await ask(self._nats, f"in.{self._subject}", payload, timeout_s=answer_s, headers=headers)
        answer = json.loads(reply.data)
        if (failure := answer.get("error")) is None:
            return int(answer["seq"])
        if failure.get("err_code") == WRONG_SEQUENCE:
            raise _NotOurs
        raise NatsError(f"the stream refuses the lease: {failure.get('description')}")


def _why(error: Exception) -> str:
    return "no answer" if isinstance(error, TimeoutError) else str(error) or type(error).__name__
