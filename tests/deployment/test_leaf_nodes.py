"""Engines behind a leaf node: they read the hub's bus as if they were there, and say why where they cannot."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg

from drift_schemas import KINDS, LAST_SEQUENCE_HEADER, SCHEMA_HEADER, SEQUENCE_HEADER, STREAM_HEADER, PriceEvent
from drift_schemas.access import close_quietly
from drift_simulator import Simulator, SimulatorConfig
from drift_subscribers import (
    DriftFeed,
    FeedStatus,
    Lossless,
    MarketNotFound,
    SnapshotIncomplete,
    StaleData,
    StaleReason,
)
from tests.cli.support import Finished, drift_bus
from tests.security.support import PATIENT
from tests.subscribers.support import ManualClock, collect, lose
from tests.support.bus_writer import BusWriter, price_event, sample
from tests.support.leaf import DOMAIN, LeafSite, leaf_site
from tests.support.publishing import keys_of, running_publisher
from tests.support.wait import wait_until

MARKETS = {"funding": "SOL-PERP", "price": "SOL-PERP", "market": "SOL-PERP", "spot": "SOL"}
CASES = [("no domain", False), ("domain", False), ("domain", True), ("accounts", False), ("accounts", True)]
NAMES = ["hub without a domain", "hub's domain", "each with a domain", "an engine's account", "and a domain of its own"]


def feed_at(site: LeafSite, **options: object) -> DriftFeed:
    """A feed of an engine that connects to the leaf node."""
    return DriftFeed(site.leaf.url, reconcile_every_s=0.5, **{**PATIENT, "domain": DOMAIN, **options})


async def linked(site: LeafSite) -> None:
    """Returns when the leaf node has its hub, and the hub its streams."""
    client = Client()
    await client.connect(site.leaf.url)

    async def hears() -> bool:
        try:
            return bool((await client.request(f"$JS.{DOMAIN}.API.STREAM.INFO.DRIFT", timeout=1)).data)
        except Exception:
            return False

    try:
        await wait_until(hears, what="the leaf node passes requests on")
    finally:
        await close_quietly(client)


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [one.getMessage() for one in caplog.records if one.levelno >= logging.WARNING and "drift" in one.name]


async def store_all(bus: BusWriter) -> None:
    for kind, market in MARKETS.items():
        await bus.change(sample(kind, market))  # type: ignore[arg-type]


def at(site: LeafSite, *, domain: bool = True) -> Callable[..., asyncio.Future[Finished]]:
    """Runs a command at the leaf node."""
    flags = ["--nats-url", site.leaf.url, *(["--nats-domain", DOMAIN] if domain else [])]
    return lambda *arguments: asyncio.ensure_future(drift_bus(*arguments, *flags))


def ok(finished: Iterable[Finished]) -> None:
    for one in finished:
        assert one.status == 0, one.stderr
        assert "Traceback" not in one.stderr


@pytest.mark.parametrize(("hub", "jetstream"), CASES, ids=NAMES)
async def test_engines_behind_a_leaf_node_read_all_and_miss_nothing(
    hub: str, jetstream: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    lose(monkeypatch, lambda sequence: sequence % 3 == 0)  # a third of what comes live is lost on its way
    async with leaf_site(tmp_path, hub, jetstream=jetstream) as site, site.writer() as bus:
        await store_all(bus)
        await linked(site)
        async with feed_at(site) as feed, feed.stream("price", "SOL-PERP", policy=Lossless(4)) as prices:
            found = [feed.funding("SOL-PERP"), feed.price("SOL-PERP"), feed.market("SOL-PERP"), feed.spot("SOL")]
            assert found == [bus.stored[f"drift.{kind}.{market}"][0][1] for kind, market in MARKETS.items()]
            assert (feed.state, feed.reason) == (FeedStatus.LIVE, "")

            for number in range(20):
                await bus.change(price_event("SOL-PERP", 151_000_000 + number))
            last = await bus.change(price_event("SOL-PERP", 160_000_000))
            stored = [event for _, event in bus.stored["drift.price.SOL-PERP"][1:]]
            assert await collect(prices, 21) == stored
            if last % 3 == 0:
                await bus.change(price_event("SOL-PERP", 161_000_000))
            await wait_until(lambda: (feed.require_price("SOL-PERP").oracle_price or 0) >= 160_000_000)
            statistics = feed.statistics()
            assert (statistics.resyncs, statistics.resyncs_failed, statistics.recreations) == (1, 0, 0)
            assert (feed.state, statistics.repairs_failed) == (FeedStatus.LIVE, 0)
        async with DriftFeed(site.hub.url, domain=DOMAIN, access=site.access, **PATIENT) as at_hub:
            assert at_hub.state is FeedStatus.LIVE
            assert at_hub.markets("funding") == ["SOL-PERP"]
        assert warnings(caplog) == []


@pytest.mark.parametrize(("hub", "jetstream"), [CASES[0], CASES[2], CASES[3]], ids=[NAMES[0], NAMES[2], NAMES[3]])
async def test_every_command_reads_behind_a_leaf_node(hub: str, jetstream: bool, tmp_path: Path) -> None:
    async with leaf_site(tmp_path, hub, jetstream=jetstream) as site, site.writer() as bus:
        await linked(site)
        run = at(site)
        await store_all(bus)

        async def keep_fresh() -> None:
            while True:
                for kind, market in MARKETS.items():
                    await bus.reassert(sample(kind, market))  # type: ignore[arg-type]
                await bus.beat()
                await asyncio.sleep(0.2)

        async def buckets_are_full() -> bool:
            return all([await keys_of(bus.client, kind) == {market} for kind, market in MARKETS.items()])  # type: ignore[arg-type]

        fresh = asyncio.create_task(keep_fresh())
        try:
            await wait_until(buckets_are_full, what="the buckets have what the stream has")
            snapshot, watch, replay, export, streams, doctor = await asyncio.gather(
                run("snapshot", "--json"),
                run("watch", "price", "--json", "--count", "1"),
                run("replay", "--json"),
                run("export", str(tmp_path / "export"), "--format", "jsonl", "--json"),
                run("streams", "--json"),
                run("doctor", "--json"),
            )
            again = await run("snapshot", "price", "--at", "-0s", "--json")
            status = await run("status", "--json")
        finally:
            fresh.cancel()
        ok([snapshot, watch, replay, export, streams, doctor, again])
        assert [one["bucket"] for one in snapshot.objects] == [f"drift_{kind}" for kind in KINDS]
        assert watch.objects[0]["subject"] == "drift.price.SOL-PERP"
        assert [one["subject"] for one in replay.objects] == [f"drift.{kind}.{name}" for kind, name in MARKETS.items()]
        assert {one["stream"] for one in streams.objects} >= {"DRIFT", "KV_drift_price", "DRIFT_FUNDING_HISTORY"}
        assert [one["market"] for one in again.objects] == ["SOL-PERP"]
        assert (status.status, status.objects[0]["lease"]) == (1, None)
        findings = {one["check"]: one["result"] for one in doctor.objects}
        assert "failed" not in findings.values(), doctor.stdout
        assert {findings[f"stream {name}"] for name in ("DRIFT", "KV_drift_price")} == {"ok"}
        if hub == "accounts":
            permissions = next(one for one in doctor.objects if one["check"] == "nats permissions")
            assert "not publish" in permissions["what"]


async def test_what_is_republished_crosses_the_link_with_its_headers_and_nobody_there_can_write(tmp_path: Path) -> None:
    heard: list[Msg] = []

    async def hear(message: Msg) -> None:
        heard.append(message)

    async with leaf_site(tmp_path, "accounts") as site, site.writer() as bus:
        await linked(site)
        client = Client()
        await client.connect(site.leaf.url)
        try:
            await client.subscribe("drift.>", cb=hear)
            await client.flush()
            before = await bus.change(price_event("SOL-PERP", 1))

            async def crosses() -> bool:
                await bus.change(price_event("SOL-PERP", 2))
                return len(heard) > 1

            await wait_until(crosses, every_s=0.1)
            headers = heard[-1].headers or {}
            assert headers[STREAM_HEADER] == "DRIFT"
            assert int(headers[SEQUENCE_HEADER]) > int(headers[LAST_SEQUENCE_HEADER]) >= before
            assert headers[SCHEMA_HEADER] == "price/1"

            count = len(heard)
            for subject in ("in.drift.price.SOL-PERP", "drift.price.SOL-PERP", f"$JS.{DOMAIN}.API.STREAM.PURGE.DRIFT"):
                await client.publish(subject, json.dumps({}).encode())
            # The trick of a read whose answer goes into the stream, or to its subscribers at the hub.
            wish = json.dumps({"last_by_subj": "drift.price.SOL-PERP"}).encode()
            await client.publish(f"$JS.{DOMAIN}.API.DIRECT.GET.DRIFT", wish, reply="in.drift.price.SOL-PERP")
            await client.flush()
            sequence = await bus.change(price_event("SOL-PERP", 3))
            await wait_until(lambda: (heard[-1].headers or {}).get(SEQUENCE_HEADER) == str(sequence))
            foreign = [message for message in heard[count:] if not message.headers]
            assert len(foreign) == 1  # heard at the leaf node itself, where it was sent; a feed refuses it
            at_hub = await bus.client.request("$JS.API.STREAM.INFO.DRIFT", timeout=5)
            assert json.loads(at_hub.data)["state"]["messages"] == sequence
        finally:
            await close_quietly(client)


@pytest.mark.parametrize("hub", ["no domain", "accounts"])
async def test_an_engine_that_was_not_told_of_the_domain_reads_why(
    hub: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with leaf_site(tmp_path, hub) as site, site.writer() as bus:
        await store_all(bus)
        await linked(site)
        feed = feed_at(site, domain=None, snapshot_timeout_s=1.5)
        opening = asyncio.create_task(feed.__aenter__())
        await wait_until(lambda: feed.reason.startswith("no JetStream answers under $JS.API"))
        assert feed.state is FeedStatus.JOINING
        with pytest.raises(SnapshotIncomplete, match=r"\$JS\.API: behind a leaf node give .*DRIFT_BUS_NATS_DOMAIN"):
            await opening
        assert str(feed.state) == "closed"
        assert len(warnings(caplog)) <= 1

        if hub != "accounts":
            return
        run = at(site, domain=False)
        for wrong in await asyncio.gather(run("snapshot"), run("status"), run("streams"), run("doctor", "--json")):
            assert wrong.status == 1
            assert "DRIFT_BUS_NATS_DOMAIN" in wrong.stdout + wrong.stderr
        assert "--nats-domain" in (await run("snapshot", "--help")).stdout


async def test_the_leaf_nodes_own_jetstream_is_not_taken_for_the_hubs(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with leaf_site(tmp_path, "domain", jetstream=True) as site, site.writer() as bus:
        await linked(site)
        async with feed_at(site, domain=None) as feed:
            assert feed.state is FeedStatus.JOINING
            assert "there is no stream DRIFT on this server" in feed.reason
            assert "DRIFT_BUS_NATS_DOMAIN" in feed.reason

            async def told() -> list[str]:
                await bus.change(price_event("SOL-PERP"))  # live messages come all the same
                return warnings(caplog)

            await wait_until(told, every_s=0.2)
            assert feed.price("SOL-PERP") is not None
            joins = feed.statistics().resyncs
            await asyncio.sleep(2.1)  # two more looks, which must not be told of again
            assert (feed.statistics().recreations, feed.statistics().resyncs) == (0, joins)
            assert feed.state is FeedStatus.JOINING
        assert len([line for line in warnings(caplog) if "cannot be read" in line]) == 1
        assert not [line for line in warnings(caplog) if "recreated" in line]


@pytest.mark.parametrize("hub", ["domain", "accounts"])
async def test_a_cut_link_lets_values_run_out_and_then_nothing_is_missing(
    hub: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    clock = ManualClock()
    async with leaf_site(tmp_path, hub) as site, site.writer() as bus:
        await store_all(bus)
        await linked(site)
        async with feed_at(site, clock=clock) as feed, feed.stream("price", policy=Lossless(4)) as prices:
            site.link.cut()
            clock.advance(11)
            assert feed.price("SOL-PERP") is None
            await wait_until(lambda: feed.state is FeedStatus.JOINING)
            assert "no JetStream answers under $JS.hub.API: the leaf node may have lost its hub" in feed.reason
            with pytest.raises(StaleData, match="may have lost its hub") as stale:
                feed.require_price("SOL-PERP")
            assert stale.value.reason is StaleReason.STREAM_UNREADABLE
            with pytest.raises(MarketNotFound, match="may have lost its hub"):
                feed.require_price("WIF-PERP")

            missed: list[PriceEvent] = []
            for number in range(10):
                missed.append(price_event("SOL-PERP", 170_000_000 + number))
                await bus.change(missed[-1])
            await bus.change(price_event("BTC-PERP", 1))
            site.link.mend()
            await wait_until(lambda: feed.state is FeedStatus.LIVE)
            assert feed.require_price("SOL-PERP").oracle_price == 170_000_009
            assert feed.require_price("BTC-PERP").oracle_price == 1
            assert [event for event in await collect(prices, 11) if event.market == "SOL-PERP"] == missed
            assert (feed.reason, feed.statistics().recreations, feed.statistics().disconnects) == ("", 0, 0)
        assert len(warnings(caplog)) == 1


async def test_a_link_that_swallows_all_and_tells_nobody_is_noticed_too(tmp_path: Path) -> None:
    """As when a firewall forgets the connection: the leaf node itself takes minutes to see it."""
    clock = ManualClock()
    async with leaf_site(tmp_path, "domain") as site, site.writer() as bus:
        await store_all(bus)
        await linked(site)
        async with feed_at(site, clock=clock) as feed, feed.stream("price", policy=Lossless(4)) as prices:
            site.link.hold()
            clock.advance(11)
            await wait_until(lambda: feed.state is FeedStatus.JOINING)
            assert "no answer from the stream DRIFT" in feed.reason
            with pytest.raises(StaleData) as stale:
                feed.require_price("SOL-PERP")
            assert stale.value.reason is StaleReason.STREAM_UNREADABLE
            for number in range(10):
                await bus.change(price_event("SOL-PERP", 170_000_000 + number))
            site.link.mend()
            stored = [event for _, event in bus.stored["drift.price.SOL-PERP"][1:]]
            assert await collect(prices, 10) == stored
            await wait_until(lambda: feed.state is FeedStatus.LIVE)
            assert (feed.statistics().recreations, feed.statistics().disconnects) == (0, 0)


async def test_a_publisher_behind_a_leaf_node_leads_a_bus_at_the_hub(tmp_path: Path) -> None:
    config = SimulatorConfig(host="127.0.0.1", port=0, updates_per_second=50.0, perp_markets=2, spot_markets=2)
    async with (
        leaf_site(tmp_path, "accounts", role="publisher") as site,
        Simulator(config) as sim,
        running_publisher(sim, site.leaf, nats_domain=DOMAIN, lease_ttl_s=10),
        feed_at(site) as feed,
        DriftFeed(site.hub.url, access=site.access, **PATIENT) as there,
    ):
        await wait_until(lambda: all(len(one.markets()) == 4 and one.status() is not None for one in (feed, there)))
        assert {one.state for one in (feed, there)} == {FeedStatus.LIVE}
