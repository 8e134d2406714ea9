"""A bench process: the publisher, with the time from each notification's arrival to its events' acknowledgement."""

from __future__ import annotations

import argparse
import asyncio
import sys
import time

from benchmarks.figures import percentiles_ms
from benchmarks.processes import say, serve
from drift_publisher import Publisher, PublisherSettings
from drift_publisher.lanes import Message
from drift_publisher.source import AccountUpdate
from drift_publisher.store import Touched
from drift_schemas import REASSERTION_HEADER

__all__: list[str] = []


class _AckTimes:
    """Wraps a running publisher's store and bus; changes only, for a re-assertion has no notification."""

    def __init__(self, publisher: Publisher) -> None:
        assert publisher.chain is not None
        assert publisher.bus is not None
        self.samples_s: list[float] = []
        self.bus = publisher.bus
        self._received_ns = 0
        self._apply = publisher.chain.store.apply
        self._submit = publisher.bus.submit
        publisher.chain.store.apply = self._timed_apply  # type: ignore[method-assign]
        publisher.bus.submit = self._timed_submit  # type: ignore[method-assign]

    def _timed_apply(self, update: AccountUpdate) -> Touched:
        self._received_ns = update.received_ns
        return self._apply(update)

    def _timed_submit(self, message: Message) -> None:
        if REASSERTION_HEADER not in message.headers and self._received_ns:
            received_ns, stored = self._received_ns, message.on_stored

            def timed() -> None:
                self.samples_s.append((time.time_ns() - received_ns) / 1e9)
                stored()

            message = message._replace(on_stored=timed)
        self._submit(message)


def main() -> int:
    """Publishes until stdin closes, then tells the acknowledgement times of its second half."""
    parser = argparse.ArgumentParser(prog="benchmarks.publisher")
    parser.add_argument("--rpc-url", required=True)
    parser.add_argument("--nats-url", required=True)
    options = parser.parse_args()

    async def work(stop: asyncio.Event) -> None:
        publisher = Publisher(PublisherSettings(rpc_url=options.rpc_url, nats_url=options.nats_url))
        found: list[_AckTimes] = []

        def ready() -> None:
            found.append(_AckTimes(publisher))
            say(ready_ns=time.monotonic_ns())

        await publisher.run(stop, on_ready=ready)
        times = found[0]
        settled = times.samples_s[len(times.samples_s) // 2 :]
        say(
            received_to_ack_ms=percentiles_ms(settled),
            sent_to_ack_ms=percentiles_ms(list(times.bus.ack_seconds)),
            counts=dict(times.bus.counts),
        )

    return serve(work)


if __name__ == "__main__":
    sys.exit(main())
