"""Where a replay goes: a stream and buckets of its own, under names that no live bus can have."""

from __future__ import annotations

import json
import re
from typing import Any, Final

from nats.aio.msg import Msg

from drift_schemas import KINDS, Kind, Topology
from drift_subscribers.history.inquiry import Inquiry, JetStreamRefusal
from drift_subscribers.replay.errors import BadReplayName, ReplayError, ReplayExists

__all__ = ["ReplayTarget", "replay_topology"]

_NAME: Final = re.compile(r"[a-z0-9_-]{1,24}")
_NAME_KEY: Final = "drift-replay"
_STATE_KEY: Final = "drift-replay-state"
_STREAM_NOT_FOUND: Final = 10059
_NS: Final = 1_000_000_000


def replay_topology(name: str, *, domain: str | None = None) -> Topology:
    """Names of subjects, stream and buckets of the replay ``name``: ``replay.<name>.price.SOL``, ``REPLAY_<NAME>``.

    Raises:
        BadReplayName: it is no token of ``a-z 0-9 _ -``, 24 at most.
    """
    if not _NAME.fullmatch(name):
        raise BadReplayName(f"replay name {name!r}: use 1 to 24 of a-z 0-9 _ -")
    return Topology(f"replay.{name}", domain=domain)


class ReplayTarget:
    """Makes, marks and removes the stream and the buckets of one replay.

    The buckets follow the stream as those of a live bus do, but nothing in them runs out by a wall clock: the replayer
    stores an end mark on ``replay.<name>.ctl.expired.<kind>.<token>``, and the bucket's source turns that into the
    key's delete marker. One stream orders it all.

    Args:
        name: The replay's name.
        keep_s: How long the stream keeps what was replayed, in seconds of wall time.
        domain: The JetStream domain to make it in, where we are connected to a leaf node.

    Raises:
        BadReplayName: it is none.
    """

    def __init__(self, name: str, *, keep_s: int, domain: str | None = None) -> None:
        self.name = name
        self.topology = replay_topology(name, domain=domain)
        self._keep_s = keep_s
        self._config: dict[str, Any] = {}
        self._asked: Inquiry | None = None

    @property
    def _inquiry(self) -> Inquiry:
        if self._asked is None:
            raise ReplayError(f"the replay {self.name} was not made yet")
        return self._asked

    def event_subject(self, kind: Kind, token: str) -> str:
        """Ingress subject of a key's events."""
        return f"{self.topology.subjects.ingress_prefix}.{kind}.{token}"

    def expired_subject(self, kind: Kind, token: str) -> str:
        """Ingress subject of the mark that ends a key."""
        return f"{self.topology.subjects.ingress_prefix}.ctl.expired.{kind}.{token}"

    async def create(self, inquiry: Inquiry, *, replace: bool, description: str) -> None:
        """Makes everything anew, and is asked through ``inquiry`` from then on.

        Raises:
            ReplayExists: something stands there and is not to be replaced, or is no replay.
            ReplayError: the server refuses it.
            HistoryInterrupted: the server does not answer.
        """
        self._asked = inquiry
        found = await self._found()
        if found is not None:
            self._check_replaceable(found, replace=replace)
            await self.remove()
        self._config = {
            **self.topology.stream_config(),
            "description": description,
            "metadata": {_NAME_KEY: self.name, _STATE_KEY: "running"},
            "max_age": self._keep_s * _NS,
        }
        for config in (self._config, *(self._bucket_config(kind) for kind in KINDS)):
            await self._call(f"STREAM.CREATE.{config['name']}", config)

    async def mark(self, state: str) -> None:
        """Writes into the stream's metadata how the replay stands."""
        self._config["metadata"][_STATE_KEY] = state
        await self._call(f"STREAM.UPDATE.{self.topology.stream}", self._config)

    async def remove(self) -> None:
        """Deletes buckets and stream."""
        for stream in (*(self.topology.bucket_stream(kind) for kind in KINDS), self.topology.stream):
            try:
                await self._inquiry.api(f"STREAM.DELETE.{stream}", {})
            except JetStreamRefusal as refusal:
                if refusal.code != _STREAM_NOT_FOUND:
                    raise ReplayError(f"{stream} cannot be deleted: {refusal}") from None

    async def last_sequence(self) -> int:
        """The stream's last sequence.

        Raises:
            NoHistory: the stream was removed.
        """
        info = await self._inquiry.stream_info(self.topology.stream)
        return int(info["state"]["last_seq"])

    async def message_at(self, sequence: int) -> Msg | None:
        """The stored message at a sequence; ``None`` when it is not there."""
        wish = json.dumps({"seq": sequence}).encode()
        message = await self._inquiry.ask(self.topology.api.direct_get(self.topology.stream), wish)
        return None if "Status" in (message.headers or {}) else message

    async def _found(self) -> dict[str, Any] | None:
        try:
            return await self._inquiry.api(f"STREAM.INFO.{self.topology.stream}", {})
        except JetStreamRefusal as refusal:
            if refusal.code == _STREAM_NOT_FOUND:
                return None
            raise ReplayError(f"JetStream: {refusal}") from None

    def _check_replaceable(self, found: dict[str, Any], *, replace: bool) -> None:
        metadata = found["config"].get("metadata") or {}
        if metadata.get(_NAME_KEY) != self.name:
            raise ReplayExists(f"the stream {self.topology.stream} is there and is no replay: choose another name")
        if not replace:
            state = metadata.get(_STATE_KEY, "of unknown state")
            raise ReplayExists(
                f"there is a replay {self.name!r} already ({state}, {found['state']['messages']} messages): "
                "replace it (--replace) or choose another name"
            )

    def _bucket_config(self, kind: Kind) -> dict[str, Any]:
        config = self.topology.bucket_config(kind)
        names, bucket = self.topology.subjects, self.topology.bucket(kind)
        key = f"$KV.{bucket}.{{{{wildcard(1)}}}}"
        transforms = [
            {"src": names.of_kind(kind), "dest": key},
            {"src": f"{names.prefix}.ctl.expired.{kind}.*", "dest": key},
        ]
        return {
            **config,
            "description": f"drift-bus: last {kind} of each market in the replay {self.name}",
            "metadata": {_NAME_KEY: self.name},
            "max_age": 0,
            "sources": [{"name": self.topology.stream, "subject_transforms": transforms}],
        }

    async def _call(self, action: str, config: dict[str, Any]) -> None:
        try:
            await self._inquiry.api(action, config)
        except JetStreamRefusal as refusal:
            raise ReplayError(f"{config['name']}: {refusal}") from None
