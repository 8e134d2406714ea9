"""The stream that an import makes and writes: its own, never one that a publisher uses."""

from __future__ import annotations

import json
from typing import Any, Final, NamedTuple

from nats.aio.client import Client

from drift_schemas import STORED_SEQUENCE_HEADER, SUBJECT_HEADER, Topology, decode_event
from drift_subscribers.archive.errors import ImportRefused
from drift_subscribers.archive.fenced import DUPLICATE_WINDOW_S
from drift_subscribers.archive.sources import ImportSource
from drift_subscribers.history import NoHistory
from drift_subscribers.history.inquiry import Inquiry, JetStreamRefusal

__all__ = ["Place", "Target"]

_METADATA: Final = "drift-bus-import"
_NO_ROOM: Final = 10047


class Place(NamedTuple):
    """How far a target is filled.

    Attributes:
        imported: Sequence, in its first stream, of the last event that is there; 0: none.
        epoch: That event's epoch.
        last_sequence: The target's last sequence.
        events: How many events it holds.
    """

    imported: int
    epoch: int
    last_sequence: int
    events: int


class Target:
    """A stream for one import: nobody hears its messages as live, and no limit takes them away."""

    def __init__(self, client: Client, topology: Topology, source: ImportSource, *, patience_s: float) -> None:
        self._inquiry = Inquiry(client, topology.api, patience_s=patience_s)
        self._topology = topology
        self._source = source

    async def ensure(self) -> None:
        """Makes the stream, or finds the one that an earlier run of the same import made.

        Raises:
            ImportRefused: there is another stream, or the server will not make one.
        """
        name = self._topology.stream
        async with self._inquiry as inquiry:
            try:
                info = await inquiry.stream_info(name)
            except NoHistory:
                await self._make(inquiry)
                return
        if (info["config"].get("metadata") or {}).get(_METADATA) != self._source.id:
            raise ImportRefused(
                f"there is a stream {name} already, with {info['state']['messages']} messages that are not of this "
                f"history: import under a prefix of its own, such as --prefix imported.{self._topology.prefix}"
            )

    async def place(self) -> Place:
        """How far it is filled.

        Raises:
            ImportRefused: the last message is none that an import wrote.
        """
        name, names = self._topology.stream, self._topology.subjects
        async with self._inquiry as inquiry:
            info = await inquiry.api(f"STREAM.INFO.{name}", {"subjects_filter": names.epoch})
            state = info["state"]
            events = int(state["messages"]) - sum((state.get("subjects") or {}).values())
            wish = json.dumps({"seq": state["last_seq"]}).encode()
            last = await inquiry.ask(self._topology.api.direct_get(name), wish)
        headers = last.headers or {}
        if "Status" in headers and not events:
            return Place(0, 0, int(state["last_seq"]), 0)
        if STORED_SEQUENCE_HEADER not in headers:
            raise ImportRefused(
                f"a publisher has written to the stream {name} behind what was imported: import under another prefix"
            )
        parsed = names.parse(headers.get(SUBJECT_HEADER, ""))
        epoch = int(last.data) if parsed is None else decode_event(parsed[0], last.data).epoch
        return Place(int(headers[STORED_SEQUENCE_HEADER]), epoch, int(state["last_seq"]), events)

    async def _make(self, inquiry: Inquiry) -> None:
        try:
            await inquiry.api(f"STREAM.CREATE.{self._topology.stream}", self._config())
        except JetStreamRefusal as refusal:
            hint = "; give JetStream more room" if refusal.code == _NO_ROOM else ""
            raise ImportRefused(f"the server makes no stream {self._topology.stream}: {refusal}{hint}") from None

    def _config(self) -> dict[str, Any]:
        config = self._topology.stream_config()
        del config["republish"]
        return {
            **config,
            "description": "drift-bus: an imported history",
            "max_age": 0,
            "max_bytes": -1,
            "duplicate_window": int(DUPLICATE_WINDOW_S * 1e9),
            "metadata": {_METADATA: self._source.id, f"{_METADATA}-of": json.dumps(self._source.origin)},
        }
