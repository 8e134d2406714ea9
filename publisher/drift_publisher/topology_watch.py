"""Watches that stream and buckets stay there, makes anew what is gone, and knows whether the buckets are full."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from typing import Any, Final, NamedTuple

from nats.aio.client import Client
from nats.errors import Error as NatsError

from drift_publisher.asking import ask
from drift_publisher.errors import NatsUnavailable, TopologyConflict
from drift_publisher.stream_api import StreamApi
from drift_publisher.stream_setup import ensure_topology
from drift_schemas import KINDS, SEQUENCE_HEADER, Kind, Topology, bucket_ttl_s

__all__ = ["BUCKET_TROUBLE", "STREAM_TROUBLE", "TopologyWatch", "Trouble"]

_log = logging.getLogger(__name__)
_EVERY_S: Final = 1.0
_ANSWER_S: Final = 2.0
_SETTLED_S: Final = 1.5
_TELL_S: Final = 2.5
_RECONCILE_AFTER: Final = 5
"""Looks in a row at a bucket that stays empty, after which its settings are reconciled: somebody may have edited it."""

NATS_TROUBLE: Final = "NATS down"
STREAM_TROUBLE: Final = "stream missing"
BUCKET_TROUBLE: Final = "buckets empty"

ConfirmedAt = Callable[[Kind], Mapping[str, float]]
"""Tells when the stream acknowledged the newest value of each market of a kind, monotonic seconds."""


class Trouble(NamedTuple):
    """What is wrong with stream or buckets.

    Attributes:
        reason: ``NATS down`` (connected, and JetStream does not answer), ``stream missing`` or ``buckets empty``.
        detail: More of it, for people.
    """

    reason: str
    detail: str


class TopologyWatch:
    """Looks once a second, and at once after a reconnect; what somebody deleted is made anew by the next look.

    Nothing is deleted by it, and other settings are changed only where something had to be made anyway: two publishers
    with different settings would go on changing them for ever.

    Args:
        nats: A connection that may manage streams.
        topology: What should be there.
        reconnected: Set by the connection after it was lost; a server may come back empty.
        confirmed_at: What the stream has, by the acknowledgements of this publisher; nothing while it does not lead.
        refill: Asked to confirm values once more, because a bucket does not have them.

    Attributes:
        troubles: What is wrong, as of the last look.
    """

    def __init__(
        self,
        nats: Client,
        topology: Topology,
        *,
        reconnected: asyncio.Event,
        confirmed_at: ConfirmedAt,
        refill: Callable[[Kind, frozenset[str]], None],
    ) -> None:
        self.troubles: tuple[Trouble, ...] = ()
        self._nats = nats
        self._streams = StreamApi(nats, topology.api)
        self._topology = topology
        self._reconnected = reconnected
        self._confirmed_at = confirmed_at
        self._refill = refill
        self._newest: dict[Kind, int] = {}
        self._created = ""
        self._looks_in_trouble = 0
        self._remade: tuple[float, Trouble] | None = None

    @property
    def summary(self) -> str:
        """All of it in one line; empty while nothing is wrong."""
        return "; ".join(trouble.detail for trouble in self.troubles)

    async def run(self) -> None:
        """Looks until it is cancelled."""
        self._note(await self._look(everything=False))
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_EVERY_S):
                    await self._reconnected.wait()
            is_new_connection = self._reconnected.is_set()
            self._reconnected.clear()
            if self._nats.is_connected:
                self._note(await self._look(everything=is_new_connection))

    async def _look(self, *, everything: bool) -> list[Trouble]:
        try:
            infos = {name: await self._streams.info(name, subjects=keys) for name, keys in self._wanted()}
            gone = [name for name, info in infos.items() if info is None]
            is_another = self._is_another(infos[self._topology.stream])
            if gone:
                _log.warning("not there any more: %s; making it anew", ", ".join(gone))
            if gone or everything or is_another or self._looks_in_trouble >= _RECONCILE_AFTER:
                self._looks_in_trouble = 0
                await ensure_topology(self._nats, self._topology, is_another=is_another)
                self._newest.clear()
            if gone or is_another:
                self._remade = time.monotonic(), self._trouble_of(gone)
            self._created = str((infos[self._topology.stream] or {}).get("created", ""))
            return [*self._lately(), *[trouble async for trouble in self._compare(infos)]]
        except NatsUnavailable as error:
            return [Trouble(NATS_TROUBLE, str(error))]
        except TopologyConflict as error:
            return [Trouble(STREAM_TROUBLE, str(error))]
        except (NatsError, TimeoutError) as error:
            _log.debug("stream and buckets could not be looked at: %s", type(error).__name__)
            return list(self.troubles)

    def _wanted(self) -> Iterator[tuple[str, str]]:
        """Names of streams, and which of their subjects are to be counted."""
        buckets = {self._topology.bucket_stream(kind): f"$KV.{self._topology.bucket(kind)}.>" for kind in KINDS}
        for config in self._topology.configs():
            yield config["name"], buckets.get(config["name"], "")

    def _is_another(self, info: Mapping[str, Any] | None) -> bool:
        """The stream is there, and is not the one of the last look."""
        return info is not None and bool(self._created) and str(info.get("created")) != self._created

    def _trouble_of(self, gone: list[str]) -> Trouble:
        stream = self._topology.stream
        if gone and stream not in gone:
            return Trouble(BUCKET_TROUBLE, f"{', '.join(gone)} had been deleted, and was made anew a moment ago")
        return Trouble(STREAM_TROUBLE, f"{', '.join(gone) or stream} had been deleted, and was made anew a moment ago")

    def _lately(self) -> Iterator[Trouble]:
        """What was made anew is told for a while: a heartbeat passes it on, and until then nothing follows it."""
        if self._remade is not None and time.monotonic() - self._remade[0] < _TELL_S:
            yield self._remade[1]

    async def _compare(self, infos: Mapping[str, dict[str, Any] | None]) -> AsyncIterator[Trouble]:
        """What the buckets lack of what the stream has."""
        now = time.monotonic()
        for kind in KINDS:
            info = infos[self._topology.bucket_stream(kind)]
            due = _due(self._confirmed_at(kind), bucket_ttl_s(kind), now)
            if not due:  # we do not lead, or have just begun to
                self._newest.pop(kind, None)
                continue
            newest_before, self._newest[kind] = self._newest.get(kind, 0), await self._newest_of(kind)
            if info is None:
                self._refill(kind, due)
                continue
            prefix = f"$KV.{self._topology.bucket(kind)}."
            there = {subject.removeprefix(prefix) for subject in info["state"].get("subjects") or ()}
            if missing := due - there:
                self._refill(kind, missing)
                detail = f"the bucket {self._topology.bucket(kind)} lacks {len(missing)} of {len(due)} values"
                yield Trouble(BUCKET_TROUBLE, f"{detail} that the stream has")
            elif (followed := _followed(info)) is not None and followed < newest_before:
                behind = f"the bucket {self._topology.bucket(kind)} does not follow the stream"
                yield Trouble(BUCKET_TROUBLE, f"{behind}: it has message {followed}, not {newest_before}")

    async def _newest_of(self, kind: Kind) -> int:
        """Where the stream has its newest message of a kind; 0 without one."""
        wish = json.dumps({"last_by_subj": self._topology.subjects.of_kind(kind)}).encode()
        found = await ask(self._nats, self._topology.api.direct_get(self._topology.stream), wish, timeout_s=_ANSWER_S)
        return int((found.headers or {}).get(SEQUENCE_HEADER, 0))

    def _note(self, found: list[Trouble]) -> None:
        """Keeps it, and says what is new about it."""
        known = {trouble.reason for trouble in self.troubles}
        for trouble in found:
            if trouble.reason not in known:
                known.add(trouble.reason)
                _log.warning("%s: %s", trouble.reason, trouble.detail)
        if self.troubles and not found:
            _log.info("stream and buckets are whole again")
        self.troubles = tuple(found)
        self._looks_in_trouble = self._looks_in_trouble + 1 if found else 0


def _due(confirmed_at: Mapping[str, float], ttl_s: float, now: float) -> frozenset[str]:
    """The markets whose value must be in the bucket: acknowledged a while ago, and not about to run out."""
    return frozenset(token for token, at in confirmed_at.items() if _SETTLED_S < now - at < ttl_s - _SETTLED_S)


def _followed(info: Mapping[str, Any]) -> int | None:
    """Up to which of its source's messages a bucket has come; ``None`` where the server does not tell."""
    source: dict[str, Any] = next(iter(info.get("sources") or ()), {})
    return int(source["seq"]) if "seq" in source else None
