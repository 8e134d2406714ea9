"""A bench process: the publisher, telling about itself when asked, and noting what was acknowledged when."""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import sys
import time
from array import array
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TextIO

from benchmarks.growth import live_objects
from benchmarks.processes import say, serve
from drift_publisher import Publisher, PublisherSettings
from drift_publisher.lanes import Message
from drift_publisher.source import AccountUpdate
from drift_publisher.store import Touched
from drift_schemas import MSG_ID_HEADER, REASSERTION_HEADER

__all__: list[str] = []

_WATCH_EVERY_S: Final = 0.02
_TROUBLE: Final = ("state", "reconnects", "failures", "throttled", "refused", "renewed")


def _sample(publisher: Publisher) -> dict[str, Any]:
    """What the publisher holds and counts now."""
    chain, bus = publisher.chain, publisher.bus
    if chain is None or bus is None:
        return {"state": "starting"}
    traffic = [endpoint.traffic for endpoint in chain.pool.endpoints]
    return {
        "at_ns": time.monotonic_ns(),
        "state": chain.status.state,
        "tasks": len(asyncio.all_tasks()),
        "reconnects": chain.status.reconnects,
        "renewed": chain.status.renewed,
        "failures": sum(one.failures.total() for one in traffic),
        "throttled": sum(one.throttled for one in traffic),
        "requests": sum(one.requests.total() for one in traffic),
        "sockets_opened": sum(one.sockets_opened for one in traffic),
        "refused": chain.store.refused.total(),
        "outstanding": bus.outstanding,
        "counts": dict(bus.counts),
    }


async def _watch(publisher: Publisher) -> None:
    """Says a line whenever the state, or a count of trouble, is another one."""
    told: tuple[object, ...] = ()
    while True:
        sample = _sample(publisher)
        trouble = tuple(sample.get(name) for name in _TROUBLE)
        if trouble != told:
            told = trouble
            say(**sample)
        await asyncio.sleep(_WATCH_EVERY_S)


def _is_change(message: Message) -> bool:
    """It carries a market's new state: no re-assertion, and no journal of those."""
    return REASSERTION_HEADER not in message.headers and ".ctl." not in message.subject


class _AckedIds:
    """Writes the id of each acknowledged change to a file, so that the process's memory does not grow by it."""

    def __init__(self, publisher: Publisher, file: TextIO) -> None:
        assert publisher.bus is not None
        self._file = file
        self._submit = publisher.bus.submit
        publisher.bus.submit = self._noted  # type: ignore[method-assign]

    def _noted(self, message: Message) -> None:
        if _is_change(message):
            identity, stored = message.headers[MSG_ID_HEADER], message.on_stored

            def noted() -> None:
                self._file.write(identity + "\n")
                stored()

            message = message._replace(on_stored=noted)
        self._submit(message)


class _Acks:
    """Notes each notification's content and the moments at which its events were acknowledged.

    In flat lists and arrays, which the garbage collector does not walk: its pauses would be measured with the rest.
    """

    def __init__(self, publisher: Publisher) -> None:
        assert publisher.chain is not None
        assert publisher.bus is not None
        self._addresses: list[str] = []
        self._contents: list[bytes] = []
        self._received_ns = array("q")
        self._acked_updates, self._acked_ns = array("q"), array("q")
        self._apply = publisher.chain.store.apply
        self._submit = publisher.bus.submit
        publisher.chain.store.apply = self._noted_apply  # type: ignore[method-assign]
        publisher.bus.submit = self._timed_submit  # type: ignore[method-assign]

    def _noted_apply(self, update: AccountUpdate) -> Touched:
        self._addresses.append(update.address)
        self._contents.append(update.data or b"")
        self._received_ns.append(update.received_ns)
        return self._apply(update)

    def _timed_submit(self, message: Message) -> None:
        number = len(self._addresses) - 1
        if _is_change(message) and number >= 0:
            stored = message.on_stored

            def timed() -> None:
                self._acked_updates.append(number)
                self._acked_ns.append(time.monotonic_ns())
                stored()

            message = message._replace(on_stored=timed)
        self._submit(message)

    def write(self, path: Path) -> None:
        """Writes a line per update: address, digest of the content, moments of arrival and of acknowledgements."""
        wall_ahead_ns = time.time_ns() - time.monotonic_ns()
        acked: defaultdict[int, list[int]] = defaultdict(list)
        for number, moment in zip(self._acked_updates, self._acked_ns, strict=True):
            acked[number].append(moment)
        with path.open("w") as file:
            for number, (address, content) in enumerate(zip(self._addresses, self._contents, strict=True)):
                digest = hashlib.blake2b(content, digest_size=16).hexdigest()
                moments = (self._received_ns[number] - wall_ahead_ns, *acked[number])
                file.write(" ".join((address, digest, *map(str, moments))) + "\n")


def main() -> int:
    """Publishes until stdin closes; a line on stdin asks for a sample."""
    parser = argparse.ArgumentParser(prog="benchmarks.observed")
    parser.add_argument("--rpc-url", required=True)
    parser.add_argument("--nats-url", required=True)
    parser.add_argument("--acked-ids", type=Path, help="write the ids of acknowledged changes there")
    parser.add_argument("--acks", type=Path, help="write the moments of acknowledgements there")
    parser.add_argument("--watch", action="store_true", help="tell of every trouble when it is noticed")
    options = parser.parse_args()
    publisher = Publisher(PublisherSettings(rpc_url=options.rpc_url, nats_url=options.nats_url))

    async def work(stop: asyncio.Event) -> None:
        at_end: list[Callable[[], object]] = []

        def ready() -> None:
            if options.acked_ids:
                file = options.acked_ids.open("w")
                _AckedIds(publisher, file)
                at_end.append(file.close)
            if options.acks:
                acks = _Acks(publisher)
                at_end.append(lambda: acks.write(options.acks))
            say(ready_ns=time.monotonic_ns(), **_sample(publisher))

        watching = [asyncio.create_task(_watch(publisher), name="bench-watch")] if options.watch else []
        try:
            await publisher.run(stop, on_ready=ready)
        finally:
            for task in watching:
                task.cancel()
        for end in at_end:
            end()
        say(ended=True, **_sample(publisher))

    return serve(work, lambda: {**_sample(publisher), "live": live_objects()})


if __name__ == "__main__":
    sys.exit(main())
