"""Three nats-servers, three copies: the one that leads the stream is killed under load, and then another one."""

from __future__ import annotations

import asyncio
import contextlib
import os
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from itertools import cycle, pairwise
from pathlib import Path
from typing import Final, NamedTuple

import nats
from nats.aio.msg import Msg

from benchmarks.processes import running
from benchmarks.stream_check import StreamCheck, check_stream
from benchmarks.table import Progress, Report, Table
from drift_schemas import Topology
from drift_schemas.access import close_quietly
from tests.support.nats_cluster import NatsCluster

__all__ = ["measure"]

_UPDATES_PER_S: Final = 200
_WARM_UP_S: Final = 4.0
_DOWN_S: Final = 10.0  # an election may take 9
_REST_S: Final = 2.0
_LAST_ARRIVALS_S: Final = 2.0
_SOON_NS: Final = 10**9
_STREAMS: Final = [config["name"] for config in Topology().configs()]


class _Kill(NamedTuple):
    """One kill -9.

    Attributes:
        led: The node led the stream, or some bucket, or nothing of it.
        monotonic_ns, wall_ns: When.
    """

    led: str
    monotonic_ns: int
    wall_ns: int


class _Pauses(NamedTuple):
    """After a kill, in seconds.

    Attributes:
        acks_s: Longest time without an acknowledgement.
        events_s: Longest time without an event at an engine.
        election_s: Until the servers had chosen another leader of the stream; 0 where they need not.
        resumed_s: From then to the first acknowledgement.
    """

    acks_s: float
    events_s: float
    election_s: float
    resumed_s: float


async def measure(progress: Progress, runs: int) -> Report:
    """Kills the stream's leader and another node, ``runs`` times over; reads the whole stream at the end."""
    with tempfile.TemporaryDirectory(prefix="drift-bus-bench-") as name:
        folder = Path(name)
        async with contextlib.AsyncExitStack() as stack:
            cluster = await stack.enter_async_context(NatsCluster())
            pace = ("--updates-per-second", str(_UPDATES_PER_S))
            node = await stack.enter_async_context(running("benchmarks.node", *pace))
            rpc_url = (await node.hear())["http_url"]
            files = ("--acked-ids", str(folder / "acked"), "--acks", str(folder / "acks"))
            with _three_copies():
                publisher = await stack.enter_async_context(
                    running("benchmarks.observed", "--rpc-url", rpc_url, "--nats-url", cluster.url, *files)
                )
            await publisher.hear()
            engine = await stack.enter_async_context(
                running("benchmarks.witness", "--nats-url", cluster.url, "--folder", str(folder / "engine"))
            )
            opened_ns = (await engine.hear())["open_ns"]
            elected_ns = await stack.enter_async_context(_elections(cluster))
            await asyncio.sleep(_WARM_UP_S)
            kills = []
            for _, other in zip(range(runs), cycle(cluster.nodes), strict=False):
                kills += [await _kill(cluster, victim, progress) for victim in (None, other)]
            await publisher.finish()
            await asyncio.sleep(_LAST_ARRIVALS_S)
            await engine.finish()
            progress("cluster: reading the stream")
            check = await check_stream(
                next(iter(cluster.nodes.values())).url, folder / "acked", folder / "engine" / "received",
                opened_ns + _SOON_NS,
            )  # fmt: skip
        acked_ns, arrived_ns = _ack_moments(folder / "acks"), _arrivals(folder / "engine" / "arrivals")
    pauses = [
        _Pauses(
            _longest(acked_ns, kill.monotonic_ns),
            _longest(arrived_ns, kill.wall_ns),
            *_split(kill, elected_ns, acked_ns),
        )
        for kill in kills
    ]
    return _report(kills, pauses, check)


@contextlib.asynccontextmanager
async def _elections(cluster: NatsCluster) -> AsyncIterator[list[int]]:
    """The moments at which a server said that it leads the stream now, monotonic nanoseconds."""
    elected_ns: list[int] = []

    async def on_elected(_: Msg) -> None:
        elected_ns.append(time.monotonic_ns())

    async def ignore(_: Exception) -> None:
        pass

    client = await nats.connect(
        cluster.url.split(","), max_reconnect_attempts=-1, reconnect_time_wait=0.1, error_cb=ignore
    )
    try:
        await client.subscribe(f"$JS.EVENT.ADVISORY.STREAM.LEADER_ELECTED.{Topology().stream}", cb=on_elected)
        yield elected_ns
    finally:
        await close_quietly(client)


def _split(kill: _Kill, elected_ns: Sequence[int], acked_ns: Sequence[int]) -> tuple[float, float]:
    """Time of the servers' election, and from there to the first acknowledgement."""
    if kill.led != "the stream":
        return 0.0, 0.0
    elected = next(moment for moment in elected_ns if moment > kill.monotonic_ns)
    acked = next(moment for moment in acked_ns if moment > elected)
    return (elected - kill.monotonic_ns) / 1e9, (acked - elected) / 1e9


async def _kill(cluster: NatsCluster, victim: str | None, progress: Progress) -> _Kill:
    """Kills one node (the stream's leader, where none is named), and has it back, whole, at the end."""
    await cluster.wait_until_whole(_STREAMS)
    leaders = {stream: await cluster.leader_of(stream) for stream in _STREAMS}
    name = victim or leaders[Topology().stream]
    led = [stream for stream, leader in leaders.items() if leader == name]
    what = "the stream" if Topology().stream in led else "a bucket" if led else "nothing"
    progress(f"cluster: kill -9 of {name}, which leads {what}")
    kill = _Kill(what, time.monotonic_ns(), time.time_ns())
    await cluster.nodes[name].kill()
    await asyncio.sleep(_DOWN_S)
    await cluster.nodes[name].start()
    await cluster.wait_until_whole(_STREAMS)
    await asyncio.sleep(_REST_S)
    return kill


@contextlib.contextmanager
def _three_copies() -> Iterator[None]:
    os.environ["DRIFT_BUS_STREAM_REPLICAS"] = "3"
    try:
        yield
    finally:
        del os.environ["DRIFT_BUS_STREAM_REPLICAS"]


def _ack_moments(path: Path) -> list[int]:
    return sorted(int(moment) for line in path.read_text().splitlines() for moment in line.split(" ")[3:])


def _arrivals(path: Path) -> list[int]:
    return [int(line.split(" ")[0]) for line in path.read_text().splitlines()]


def _longest(moments_ns: Sequence[int], since_ns: int) -> float:
    """The longest pause that begins before the node is back, in seconds."""
    until_ns = since_ns + int(_DOWN_S * 1e9)
    return max(
        (later - earlier) / 1e9 for earlier, later in pairwise(moments_ns) if later > since_ns and earlier < until_ns
    )


def _spread(values: Sequence[float]) -> str:
    ranked = sorted(values)
    return " / ".join(f"{ranked[round(part * (len(ranked) - 1))]:.2f}" for part in (0.5, 0.95, 1.0))


def _report(kills: Sequence[_Kill], pauses: Sequence[_Pauses], check: StreamCheck) -> Report:
    times = Table(
        f"Three nats-servers, R3, {_UPDATES_PER_S} updates/s: kill -9; seconds, median / 95th percentile / longest",
        ("the node led", "kills", "no acknowledgement", "no event at an engine", "election", "and then"),
    )
    figures = {}
    for led in ("the stream", "a bucket", "nothing"):
        found = [pause for kill, pause in zip(kills, pauses, strict=True) if kill.led == led]
        if found:
            times.add(led, str(len(found)), *(_spread(values) for values in zip(*found, strict=True)))
            figures[led] = [pause._asdict() for pause in found]
    whole = Table(
        "What the stream holds at the end",
        (
            "acknowledged changes",
            "lost",
            "stored twice",
            "prices due at the engine",
            "missing",
            "twice",
            "out of order",
        ),
    )
    whole.add(
        *map(str, (check.acked, check.acked_missing, check.stored_twice, check.prices_due)),
        *map(str, (check.prices_missing, check.prices_twice, check.out_of_order)),
    )
    return Report([times, whole], {"pauses": figures, "stream": check._asdict()})
