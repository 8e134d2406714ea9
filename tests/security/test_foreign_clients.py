"""What the clients of Python and JavaScript may do as an engine of ``auth init``: the tables of docs/clients.md.

Go's and Rust's make the same requests; these are asked here by hand.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from nats.errors import TimeoutError as NatsTimeout
from nats.js import JetStreamContext
from nats.js.errors import KeyNotFoundError
from nats.js.kv import KeyValue

from drift_bus.nats_server import LocalNatsServer
from drift_schemas import KINDS, SUBJECT_HEADER, Topology
from tests.clients.test_javascript import SCRIPT as READ_BUS
from tests.security.support import Guarded, Login
from tests.support.buckets import buckets_follow
from tests.support.bus_writer import BusWriter, price_event, sample
from tests.support.node import node_script
from tests.support.wait import wait_until

MARKETS = ("SOL-PERP", "BTC-PERP")
TOPOLOGY = Topology()
Call = Callable[[JetStreamContext, KeyValue], Awaitable[Any]]


@pytest.fixture
async def engine(guarded: Guarded) -> AsyncIterator[Login]:
    """An engine's raw client, on a bus with two prices and one value of each other kind."""
    async with guarded.writer() as bus, guarded.login("engine") as login:
        for market in MARKETS:
            await bus.change(price_event(market))
        for kind in KINDS:
            await bus.change(sample(kind, "SOL-PERP"))
        await buckets_follow(bus.client, bus.topology)
        yield login


PERMITTED: dict[str, Call] = {
    "js.stream_info": lambda js, _: js.stream_info("KV_drift_price"),
    "kv.status": lambda _, kv: kv.status(),
    "kv.get": lambda _, kv: kv.get("SOL-PERP"),
    "js.get_msg(direct=True)": lambda js, _: js.get_msg("DRIFT", 1, direct=True),
    "js.get_last_msg(direct=True)": lambda js, _: js.get_last_msg("DRIFT", "drift.price.SOL-PERP", direct=True),
}
REFUSED: dict[str, tuple[Call, str]] = {
    "kv.keys": (lambda _, kv: kv.keys(), "$js.api.consumer.create."),
    "kv.watchall": (lambda _, kv: kv.watchall(), "$js.api.consumer.create."),
    "kv.history": (lambda _, kv: kv.history("SOL-PERP"), "$js.api.consumer.create."),
    "js.subscribe(ordered_consumer=True)": (
        lambda js, _: js.subscribe("drift.>", stream="DRIFT", ordered_consumer=True),
        "$js.api.consumer.create.",
    ),
    "js.pull_subscribe": (lambda js, _: js.pull_subscribe("drift.>", "mine", "DRIFT"), "$js.api.consumer."),
    "kv.put": (lambda _, kv: kv.put("SOL-PERP", b"1"), "$kv.drift_price."),
    "js.get_msg": (lambda js, _: js.get_msg("DRIFT", 1), "$js.api.stream.msg.get."),
    "js.account_info": (lambda js, _: js.account_info(), "$js.api.info"),
    "js.streams_info": (lambda js, _: js.streams_info(), "$js.api.stream.list"),
}


async def test_what_nats_py_may(engine: Login) -> None:
    js = engine.client.jetstream(timeout=30)
    kv = await js.key_value("drift_price")
    for name, call in PERMITTED.items():
        assert await call(js, kv), name
    with pytest.raises(KeyNotFoundError):
        await kv.get("NOPE-PERP")
    assert engine.errors == []


async def test_what_nats_py_may_not(engine: Login) -> None:
    """Each is told by a violation, and by a timeout of the call: nats-py does not bring the two together."""
    js = engine.client.jetstream(timeout=0.2)
    kv = await engine.client.jetstream(timeout=30).key_value("drift_price")
    kv._js = js  # the same bucket, with a client that is soon tired of waiting
    for name, (call, subject) in REFUSED.items():
        engine.errors.clear()
        with pytest.raises(NatsTimeout):
            await call(js, kv)
        await wait_until(lambda: engine.errors, what=f"{name} is refused")
        assert f'permissions violation for publish to "{subject}' in engine.errors[0], name


async def batch(engine: Login, stream: str, wish: dict[str, Any]) -> list[str]:
    """A batched direct get as every language can ask it: answers come on the reply subject, a status 204 ends them."""
    engine.heard.clear()
    await engine.hear(inbox := engine.client.new_inbox())
    await engine.client.publish(f"$JS.API.DIRECT.GET.{stream}", json.dumps(wish).encode(), inbox)
    await wait_until(lambda: engine.heard and (engine.heard[-1].headers or {}).get("Status") == "204")
    return [(message.headers or {})[SUBJECT_HEADER] for message in engine.heard[:-1]]


async def test_one_request_reads_the_last_values_of_a_bucket_and_of_the_stream(engine: Login) -> None:
    for kind in KINDS:
        markets = sorted(MARKETS) if kind == "price" else ["SOL-PERP"]
        bucket = f"$KV.{TOPOLOGY.bucket(kind)}."
        found = await batch(engine, TOPOLOGY.bucket_stream(kind), {"multi_last": [f"{bucket}>"]})
        assert sorted(found) == [bucket + market for market in markets]
        found = await batch(engine, TOPOLOGY.stream, {"multi_last": [TOPOLOGY.subjects.of_kind(kind)]})
        assert sorted(found) == [f"drift.{kind}.{market}" for market in markets]
    assert engine.errors == []


async def test_history_is_read_by_batches_without_a_consumer(engine: Login) -> None:
    for begin in ({"seq": 1}, {"start_time": "2026-01-01T00:00:00Z"}):
        found = await batch(engine, TOPOLOGY.stream, {**begin, "next_by_subj": "drift.price.>", "batch": 2})
        assert found == ["drift.price.SOL-PERP", "drift.price.BTC-PERP"]
    assert engine.errors == []


async def test_without_accounts_a_bucket_is_an_ordinary_one(nats_server: LocalNatsServer) -> None:
    async with BusWriter(nats_server.url) as bus:
        for market in MARKETS:
            await bus.change(price_event(market))
        await buckets_follow(bus.client, bus.topology)
        kv = await bus.client.jetstream(timeout=30).key_value("drift_price")
        assert sorted(await kv.keys()) == sorted(MARKETS)
        assert [entry.key for entry in await kv.history("SOL-PERP")] == ["SOL-PERP"]
        watcher = await kv.watchall()
        assert {(await watcher.updates(timeout=30)).key for _ in MARKETS} == set(MARKETS)
        await watcher.stop()


IN_JAVASCRIPT = {
    "nc.subscribe": True,
    "jsm.streams.info": True,
    "kv.status": True,
    "kv.get": True,
    "kv.get of an absent key": True,
    "Kvm of a connection": True,
    "jsm.direct.getMessage": True,
    "jsm.direct.getLastMessagesFor": True,
    "jsm.direct.getBatch": True,
    "kv.get without allow_direct": False,
    "kv.keys": False,
    "kv.watch": False,
    "kv.history": False,
    "js.consumers.get": False,
    "kv.put": False,
    "kv.delete": False,
    "jetstreamManager with checkAPI": False,
    "jsm.streams.list": False,
    "jsm.streams.getMessage": False,
}


def arguments_of(guarded: Guarded) -> tuple[str, str]:
    access = guarded.access("engine")
    assert access.nkey_seed_file is not None
    assert access.tls_ca is not None
    return str(access.nkey_seed_file), str(access.tls_ca)


async def test_what_nats_js_may_and_may_not(guarded: Guarded, tmp_path: Path) -> None:
    folder = tmp_path / "node"
    folder.mkdir()
    script = Path(__file__).with_name("what_engines_may.mjs")
    async with guarded.writer() as bus:
        for market in MARKETS:
            await bus.change(price_event(market))
        await buckets_follow(bus.client, bus.topology)
        async with node_script(folder, script, guarded.url, *arguments_of(guarded), "true") as printed:
            told = {}
            reading = asyncio.ensure_future(anext(printed, None))
            while not reading.done():  # until its subscription is there to hear one
                await bus.change(price_event("SOL-PERP"))
                await asyncio.wait({reading}, timeout=0.05)
            while (line := await reading) is not None:
                told[line["call"]] = line
                reading = asyncio.ensure_future(anext(printed, None))
    assert {call: line["works"] for call, line in told.items()} == IN_JAVASCRIPT, told
    assert told["jsm.direct.getLastMessagesFor"]["answer"] == len(MARKETS)
    assert told["kv.get of an absent key"]["answer"] is None
    refused = [line["why"] for line in told.values() if not line["works"]]
    assert all("Permissions Violation" in why for why in refused), refused


async def test_the_javascript_reader_reads_as_an_engine(guarded: Guarded, tmp_path: Path) -> None:
    folder = tmp_path / "node"
    folder.mkdir()
    seed, ca = arguments_of(guarded)
    login = ("--nats-url", guarded.url, "--nkey", seed, "--ca", ca, "--tls-first")
    async with guarded.writer() as bus:
        await bus.change(price_event("SOL-PERP", 1))
        await buckets_follow(bus.client, bus.topology)
        async with node_script(folder, READ_BUS, *login, "--count", "2") as printed:
            assert (await anext(printed))["event"]["oracle_price"] == "1"
            await bus.change(price_event("SOL-PERP", 2))
            assert (await anext(printed))["event"]["oracle_price"] == "2"


def test_the_page_names_every_call() -> None:
    page = (Path(__file__).parents[2] / "docs" / "clients.md").read_text()
    for call in (*PERMITTED, *REFUSED, *IN_JAVASCRIPT):
        assert call.split(" ")[0].partition("(")[0] in page, call
