"""``drift-bus status``: who leads, who stands by, and what is wrong with that."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as NatsError
from nats.errors import NoRespondersError
from rich import box
from rich.table import Table
from rich.text import Text

from drift_bus import formats
from drift_bus.connection import connected
from drift_bus.errors import CommandError, complain
from drift_bus.rendering import OutputConsole, state_style
from drift_bus.runtime import run_until_stopped, wait_for_stop
from drift_bus.settings import CommandSettings
from drift_schemas import MessageError, StatusEvent, Topology, decode_status

__all__ = ["Lead", "Standing", "status"]

_LISTEN_S: Final = 1.5
_ANSWER_S: Final = 3.0
_HEARING: Final = frozenset({"live", "polling"})
_NOBODY: Final = "nobody leads"


@dataclass(frozen=True, slots=True)
class Lead:
    """The lease as the stream holds it.

    Attributes:
        publisher_id: Whose it is.
        since_ns: Since when, Unix nanoseconds.
    """

    publisher_id: str
    since_ns: int


@dataclass(frozen=True, slots=True)
class Standing:
    """The publishers of one bus, as they were during one look at it.

    Attributes:
        lease: The lead; ``None`` where nobody has it.
        epoch: As the stream holds it; ``None`` before the first.
        beats: The newest heartbeat of each publisher.
        no_stream: What it means that the stream does not answer; empty where it does.
    """

    lease: Lead | None
    epoch: int | None
    beats: tuple[StatusEvent, ...]
    no_stream: str = ""

    @property
    def leader(self) -> StatusEvent | None:
        """The heartbeat of the lease's holder."""
        return next((one for one in self.beats if self.lease and one.publisher_id == self.lease.publisher_id), None)

    @property
    def standbys(self) -> list[StatusEvent]:
        """The heartbeats of the others."""
        return [one for one in self.beats if one is not self.leader]

    def complaints(self) -> Iterator[str]:
        """What is wrong, a line each."""
        leader = self.leader
        if self.no_stream:
            yield f"{_NOBODY}: {self.no_stream}"
        elif self.lease is None:
            yield f"{_NOBODY}: " + ("no publisher is there" if not self.beats else "the lease is free")
        elif leader is None:
            yield f"{self.lease.publisher_id} holds the lease, but no heartbeat of it was heard"
        yield from sorted({one.bus_trouble for one in self.beats if one.bus_trouble})
        claims = [one.publisher_id for one in self.beats if one.role == "leader"]
        if len(claims) > 1:
            yield f"{len(claims)} publishers say that they lead: {', '.join(sorted(claims))}"
        for one in self.beats:
            if one.source_state not in _HEARING and "cold standby" not in one.reason:
                role = "the leader" if one is leader else "standby"
                yield f"{role} {one.publisher_id} does not hear the chain: {one.reason or one.source_state}"
        for one in self.beats:
            if one.refused_names:
                names = ", ".join(one.refused_names)
                yield f"{one.publisher_id} refuses {names}: several live markets have that name, each goes by its index"
        reference = leader or next(iter(self.beats), None)
        for one in self.beats:
            if reference is not None and set(one.markets) != set(reference.markets):
                yield f"{one.publisher_id} {_difference(one, reference)}: give all the same --markets"

    def as_json(self) -> dict[str, Any]:
        """The same as JSON has it."""
        return {
            "lease": self.lease and asdict(self.lease),
            "epoch": self.epoch,
            "leader": self.leader and _fields(self.leader),
            "standbys": [_fields(one) for one in self.standbys],
            "complaints": list(self.complaints()),
        }


def status(*, nats_url: str | None, nats_domain: str | None, prefix: str | None, as_json: bool, watch: bool) -> int:
    """Prints how things stand, once or again and again; the status is 1 where nobody leads."""
    settings = CommandSettings.load(nats_url=nats_url, nats_domain=nats_domain, subject_prefix=prefix)

    async def run(stop: asyncio.Event) -> int:
        async with connected(settings.nats_servers) as client:
            while True:
                standing = await _look(client, settings.topology, stop)
                if stop.is_set():
                    return 130
                _print(standing, as_json=as_json)
                if not watch:
                    return _conclude(standing)

    return run_until_stopped(run)


def _conclude(standing: Standing) -> int:
    for first in standing.complaints():
        if first.startswith(_NOBODY):
            complain(f"error: {first}; start a publisher with 'drift-bus publish'")
            return 1
    return 0


async def _look(client: Client, topology: Topology, stop: asyncio.Event) -> Standing:
    beats: dict[str, StatusEvent] = {}

    async def hear(message: Msg) -> None:
        try:
            beat = decode_status(message.data, message.headers)
        except MessageError:
            return
        beats[beat.publisher_id] = beat

    subjects = topology.subjects
    listening = [await client.subscribe(subject, cb=hear) for subject in (subjects.status, subjects.standbys)]
    try:
        await wait_for_stop(stop, _LISTEN_S)
    finally:
        for subscription in listening:
            await subscription.unsubscribe()
    found = tuple(beats[name] for name in sorted(beats))
    try:
        lease, epoch = await _last(client, topology, subjects.lease), await _last(client, topology, subjects.epoch)
    except NoRespondersError:
        silent = f"the stream {topology.stream} does not answer"
        if not found:
            raise CommandError(f"{silent}: has a publisher run here? {topology.api.elsewhere}") from None
        return Standing(None, None, found, f"{silent}: a deleted one is made anew in seconds; {topology.api.elsewhere}")
    said: dict[str, Any] = json.loads(lease) if lease else {"resigned": True}
    held = None if said.get("resigned") else Lead(said["publisher_id"], said["since_ns"])
    return Standing(held, int(epoch) if epoch else None, found)


async def _last(client: Client, topology: Topology, subject: str) -> bytes:
    """The last message of a stored subject; empty where there is none.

    Raises:
        NoRespondersError: there is no such stream.
        CommandError: no answer.
    """
    try:
        async with asyncio.timeout(_ANSWER_S):
            found = await client.request(topology.api.direct_get(topology.stream, subject), timeout=None)  # type: ignore[arg-type]
    except NoRespondersError:
        raise
    except (NatsError, TimeoutError):
        raise CommandError(
            f"the stream {topology.stream} does not answer: has a publisher run here, and may we read {subject}?"
        ) from None
    return found.data


def _fields(beat: StatusEvent) -> dict[str, Any]:
    wanted = (
        "publisher_id", "host", "role", "epoch", "leading_since_ns", "started_at_ns", "source_state", "reason", "slot",
        "rpc_endpoint", "markets", "published_at_ns",
    )  # fmt: skip
    return {name: getattr(beat, name) for name in wanted}


def _difference(one: StatusEvent, reference: StatusEvent) -> str:
    more, fewer = set(one.markets) - set(reference.markets), set(reference.markets) - set(one.markets)
    parts = [f"{word} {_some(names)}" for word, names in (("also has", more), ("lacks", fewer)) if names]
    return f"{' and '.join(parts)}, unlike {reference.publisher_id}"


def _some(names: set[str]) -> str:
    shown = sorted(names)[:3]
    return ", ".join(shown) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _print(standing: Standing, *, as_json: bool) -> None:
    if as_json:
        sys.stdout.write(json.dumps(standing.as_json()) + "\n")
        sys.stdout.flush()
        return
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in ("", "Publisher", "Host", "Since", "Epoch", "Source", "Slot", "Endpoint", "Markets"):
        table.add_column(name, no_wrap=True)
    now_ns = time.time_ns()
    for beat in _in_order(standing):
        since_ns = standing.lease.since_ns if standing.lease and beat is standing.leader else beat.started_at_ns
        table.add_row(
            Text("leads", "bold green") if beat is standing.leader else Text("stands by", "dim"),
            beat.publisher_id,
            beat.host,
            f"{formats.age((now_ns - since_ns) / 1e9)}",
            str(beat.epoch) if beat is standing.leader else formats.ABSENT,
            Text(beat.source_state, state_style(beat.source_state)),
            f"{beat.slot:,}",
            beat.rpc_endpoint,
            str(len(beat.markets)),
        )
    console = OutputConsole()
    if standing.beats:
        console.print(table)
    for complaint in standing.complaints():
        console.print(Text(f"! {complaint}", "yellow"))


def _in_order(standing: Standing) -> Sequence[StatusEvent]:
    return [*([standing.leader] if standing.leader else []), *standing.standbys]
