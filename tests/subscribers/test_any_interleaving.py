"""Any order of publishing, confirming, losing, reconnecting and reading: exactly what was stored, once."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from nats.aio.msg import Msg

from drift_bus.nats_server import LocalNatsServer
from drift_schemas import PriceEvent
from drift_subscribers import DriftFeed, EventStream, Lossless
from drift_subscribers.intake import Intake
from tests.support.bus_writer import BusWriter, price_event
from tests.support.wait import wait_until

MARKETS = ("A-PERP", "B-PERP", "C-PERP")
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("change"), st.sampled_from(MARKETS)),
        st.tuples(st.just("reassert"), st.sampled_from(MARKETS)),
        st.tuples(st.just("expire"), st.sampled_from(MARKETS)),
        st.tuples(st.just("lose"), st.integers(1, 4)),
        st.tuples(st.just("stream"), st.sampled_from([1, 3, 1000])),
        st.tuples(st.just("stream of one"), st.sampled_from([1, 1000])),
        st.tuples(st.just("read"), st.integers(1, 4)),
        st.tuples(st.just("reconnect"), st.none()),
    ),
    min_size=5,
    max_size=40,
)
_prefixes = (f"run{number}" for number in itertools.count())


class Run:
    """One feed on a bus of its own, and streams opened along the way with what each must see."""

    def __init__(self, bus: BusWriter, feed: DriftFeed) -> None:
        self.bus = bus
        self.feed = feed
        self.to_lose = 0
        self.price = 0
        self.values: dict[str, int] = {}
        self.confirmations: dict[str, list[int]] = {market: [] for market in MARKETS}
        self.streams: list[tuple[EventStream[PriceEvent], str | None, dict[str, int]]] = []
        self.seen: list[list[tuple[str, int | None]]] = []

    async def do(self, step: str, argument: Any) -> None:
        if step == "change":
            self.price += 1
            self.values[argument] = self.price
            await self.bus.change(price_event(argument, self.price))
        elif step == "reassert" and argument in self.values:
            again = price_event(argument, self.values[argument])
            self.confirmations[argument].append(await self.bus.reassert(again))
        elif step == "expire" and self.confirmations[argument]:
            await self.bus.delete_message(self.confirmations[argument].pop())
        elif step == "lose":
            self.to_lose += argument
        elif step.startswith("stream"):
            market = MARKETS[0] if step == "stream of one" else None
            stream = self.feed.stream("price", market, policy=Lossless(argument))
            held = {name: self.feed._lanes["price"].last_sequence(name) for name in MARKETS}
            self.streams.append((stream, market, held))
            self.seen.append([])
        elif step == "read":
            for (stream, _, _), seen in zip(self.streams, self.seen, strict=True):
                for _ in range(min(argument, stream.statistics().depth)):
                    event = await anext(stream)
                    seen.append((event.market, event.oracle_price))
        elif step == "reconnect":
            await self.feed._connection.client.force_reconnect()
            await wait_until(lambda: self.feed.connected, every_s=0.001)

    async def check(self) -> None:
        for (stream, market, held), seen in zip(self.streams, self.seen, strict=True):
            wanted = self._wanted(market, held)
            while len(seen) < sum(map(len, wanted.values())):
                event = await anext(stream)
                seen.append((event.market, event.oracle_price))
            got = {name: [price for market_, price in seen if market_ == name] for name in wanted}
            assert got == wanted

    def _wanted(self, market: str | None, held: dict[str, int]) -> dict[str, list[int | None]]:
        wanted: dict[str, list[int | None]] = {}
        for name in MARKETS if market is None else (market,):
            stored = self.bus.stored.get(self.bus.topology.subjects.public("price", name), [])
            wanted[name] = [event.oracle_price for sequence, event in stored if sequence > held[name]]  # type: ignore[attr-defined]
        return wanted


@pytest.mark.slow
@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(steps=STEPS)
async def test_a_lossless_consumer_sees_exactly_what_was_stored(
    steps: list[tuple[str, Any]], nats_server: LocalNatsServer
) -> None:
    prefix = next(_prefixes)
    with pytest.MonkeyPatch.context() as patch:
        take = Intake.on_message

        async def on_message(self: Intake, message: Msg) -> None:
            if run.to_lose:
                run.to_lose -= 1
            else:
                await take(self, message)

        patch.setattr(Intake, "on_message", on_message)
        async with (
            BusWriter(nats_server.url, prefix=prefix) as bus,
            DriftFeed(nats_server.url, prefix=prefix, reconcile_every_s=0.05) as feed,
        ):
            feed._connection.client.options["reconnect_time_wait"] = 0.001
            run = Run(bus, feed)
            for step, argument in steps:
                await run.do(step, argument)
            run.to_lose = 0
            for market, price in run.values.items():
                await bus.reassert(price_event(market, price))
            await run.check()
            for market, price in run.values.items():
                await wait_until(lambda m=market, p=price: (e := feed.price(m)) and e.oracle_price == p)  # type: ignore[misc]
        await bus_gone(nats_server, prefix)


async def bus_gone(nats_server: LocalNatsServer, prefix: str) -> None:
    """Removes a run's streams and buckets, so that the server does not fill up."""
    async with BusWriter(nats_server.url, prefix=prefix, make=False) as bus:
        await bus.delete_everything()
