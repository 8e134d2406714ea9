"""A hostile engine: it has its own key, a raw client, and every trick that we know; nothing of it reaches anybody."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest

from drift_schemas import KINDS, PriceEvent, encode
from drift_subscribers import DriftFeed, EventStream, Lossless
from tests.security.support import PATIENT, Guarded, Login
from tests.subscribers.support import collect
from tests.support.bus_writer import BusWriter, price_event, sample
from tests.support.wait import wait_until

FORGED = encode(price_event("SOL-PERP", 666))
STREAM = {"name": "DRIFT", "subjects": ["in.drift.>"]}
PUSH = {"stream_name": "DRIFT", "config": {"deliver_subject": "in.drift.price.SOL-PERP", "ack_policy": "none"}}
PULL = {"stream_name": "DRIFT", "config": {"ack_policy": "none"}}

FORBIDDEN: dict[str, Any] = {
    "drift.price.SOL-PERP": FORGED,
    "drift.status": b"garbage",
    "drift.ctl.epoch": b"99",
    "in.drift.price.SOL-PERP": FORGED,
    "in.drift.ctl.epoch": b"99",
    "in.drift.ctl.lease": b"mine",
    "drift.standby.engine": b"here",
    "$KV.drift_price.SOL-PERP": FORGED,
    "in.replay.lab.price.SOL-PERP": FORGED,
    "$JS.API.STREAM.CREATE.MINE": {"name": "MINE", "subjects": ["mine.>"]},
    "$JS.API.STREAM.UPDATE.DRIFT": STREAM,
    "$JS.API.STREAM.DELETE.DRIFT": {},
    "$JS.API.STREAM.PURGE.DRIFT": {},
    "$JS.API.STREAM.PURGE.KV_drift_price": {},
    "$JS.API.STREAM.MSG.DELETE.DRIFT": {"seq": 1},
    "$JS.API.STREAM.MSG.GET.DRIFT": {"seq": 1},
    "$JS.API.STREAM.SNAPSHOT.DRIFT": {"deliver_subject": "_INBOX.x"},
    "$JS.API.STREAM.RESTORE.DRIFT": {},
    "$JS.API.STREAM.NAMES": {},
    "$JS.API.STREAM.LIST": {},
    "$JS.API.INFO": {},
    "$JS.API.CONSUMER.CREATE.DRIFT": PUSH,
    "$JS.API.CONSUMER.CREATE.KV_drift_price": PUSH,
    "$JS.API.CONSUMER.CREATE.DRIFT.mine": PULL,
    "$JS.API.CONSUMER.DURABLE.CREATE.DRIFT.mine": PULL,
    "$JS.API.CONSUMER.MSG.NEXT.DRIFT.mine": {},
    "$JS.API.CONSUMER.DELETE.DRIFT.mine": {},
    "$JS.API.CONSUMER.LIST.DRIFT": {},
    "$JS.API.STREAM.LEADER.STEPDOWN.DRIFT": {},
    "$JS.API.ACCOUNT.PURGE.PUBLISHER": {},
    "$JS.ACK.DRIFT.mine.1.1.1.1.1": b"",
    "$JS.FC.DRIFT.mine": b"",
    "$SYS.REQ.SERVER.PING": {},
    "$SYS.REQ.ACCOUNT.PUBLISHER.CONNZ": {},
    "_R_.forged": b"answer",
    "_INBOX.somebody": FORGED,
    "anything.else": b"",
}

REPLY_TO = [
    "drift.price.SOL-PERP",
    "drift.status",
    "in.drift.price.SOL-PERP",
    "in.drift.ctl.lease",
    "$KV.drift_price.SOL-PERP",
    "$JS.API.STREAM.DELETE.DRIFT",
    "$JS.API.STREAM.PURGE.DRIFT",
    "$JS.API.STREAM.INFO.DRIFT",
    "$SYS.REQ.SERVER.PING",
    "_INBOX.somebody",
]


READING = (
    "$JS.API.DIRECT.GET.",
    "$JS.API.STREAM.INFO.",
    "$JS.API.STREAM.NAMES",
    "$JS.API.CONSUMER.CREATE.DRIFT.JS_SRC_",
)
"""What arrives in the publisher's account while engines read, the operator looks, and buckets follow the stream."""


@dataclass
class Watched:
    """The other sides of the server, and what they saw while the hostile one was at work."""

    guarded: Guarded
    bus: BusWriter
    operator: Login
    rival: Login
    feed: DriftFeed
    prices: EventStream[PriceEvent]
    streams: dict[str, Any]

    async def check(self) -> None:
        """Nothing changed in the publisher's account, nothing arrived there but requests that read."""
        assert await self.guarded.streams() == self.streams
        await self.operator.settled()
        await self.rival.settled()
        acting = [m.subject for m in self.operator.heard if m.subject.startswith(("in.", "drift.", "$KV.", "$JS.API."))]
        assert [subject for subject in acting if not subject.startswith(READING)] == []
        assert self.rival.heard == []
        await self.bus.change(price_event("SOL-PERP", 2))
        assert [event.oracle_price for event in await collect(self.prices, 1)] == [2]
        assert self.feed.statistics().refused == {}


@pytest.fixture
async def watched(guarded: Guarded) -> AsyncIterator[Watched]:
    """A bus at work, an operator who hears all of the publisher's account, another engine and its feed."""
    async with (
        guarded.writer() as bus,
        guarded.login("operator") as operator,
        guarded.login("rival") as rival,
        DriftFeed(guarded.url, access=guarded.access("rival"), reconcile_every_s=60, **PATIENT) as feed,
        feed.stream("price", "SOL-PERP", policy=Lossless()) as prices,
    ):
        for kind in KINDS:
            await bus.change(sample(kind, "SOL" if kind == "spot" else "SOL-PERP"))
        await collect(prices, 1)

        async def followed() -> dict[str, Any] | None:
            """The streams, once every bucket has what was published."""
            streams = await guarded.streams()
            return streams if all(state["last_seq"] for _, state in streams.values()) else None

        streams = await wait_until(followed)
        await operator.hear(">")
        for subject in ("drift.>", "_INBOX.>"):
            await rival.hear(subject)
        await operator.settled()
        await rival.settled()
        yield Watched(guarded, bus, operator, rival, feed, prices, streams)


@pytest.fixture
async def engine(guarded: Guarded) -> AsyncIterator[Login]:
    """The hostile one."""
    async with guarded.login("engine") as login:
        yield login


async def test_what_an_engine_must_not_do_is_refused_by_the_server(watched: Watched, engine: Login) -> None:
    for number, (subject, body) in enumerate(FORBIDDEN.items(), start=1):
        payload = body if isinstance(body, bytes) else json.dumps(body).encode()
        await engine.client.publish(subject, payload, reply="_INBOX.answer")
        await engine.settled()
        assert engine.refusals == number, f"{subject} was not refused"
    await watched.check()


async def test_an_engine_hears_only_the_public_subjects_and_its_own_answers(watched: Watched, engine: Login) -> None:
    forbidden = ("in.>", "in.drift.>", "$JS.>", "$JS.API.>", "$KV.>", "$SYS.>", "_R_.>", "replay.>", ">", "*.drift.>")
    for number, subject in enumerate(forbidden, start=1):
        await engine.hear(subject)
        await engine.settled()
        assert engine.refusals == number, f"{subject} was not refused"
    await engine.hear("_INBOX.>")
    async with watched.guarded.login("rival") as rival:
        await rival.ask("$JS.API.STREAM.INFO.DRIFT")  # the answer goes to an inbox of the rival's
    await engine.settled()
    assert engine.heard == []


@pytest.mark.parametrize("reply", REPLY_TO)
async def test_the_reply_trick_reaches_nobody(watched: Watched, engine: Login, reply: str) -> None:
    stream, subject = watched.bus.topology.stream, "drift.price.SOL-PERP"
    requests: list[tuple[str, bytes]] = [
        (f"$JS.API.DIRECT.GET.{stream}", json.dumps({"last_by_subj": subject}).encode()),
        (f"$JS.API.DIRECT.GET.{stream}", json.dumps({"multi_last": ["drift.>"]}).encode()),
        (f"$JS.API.DIRECT.GET.{stream}.{subject}", b""),
        ("$JS.API.DIRECT.GET.KV_drift_price.$KV.drift_price.SOL-PERP", b""),
        (f"$JS.API.STREAM.INFO.{stream}", b""),
        ("$JS.API.STREAM.INFO.KV_drift_price", b"garbage"),
    ]
    for ask, body in requests:
        await engine.client.publish(ask, body, reply=reply)
    await engine.settled()
    await watched.check()


async def test_headers_that_make_the_server_act_reach_nobody(watched: Watched, engine: Login) -> None:
    tricks = (
        {"Nats-Trace-Dest": "in.drift.price.SOL-PERP"},
        {"Nats-Trace-Dest": "drift.price.SOL-PERP", "Nats-Trace-Only": "true"},
        {"Nats-Rollup": "all", "Nats-Msg-Id": "1", "Nats-TTL": "1s"},
        {"Nats-Schedule": "@every 1s", "Nats-Schedule-Target": "in.drift.price.SOL-PERP"},
    )
    for headers in tricks:
        await engine.client.publish("$JS.API.STREAM.INFO.DRIFT", b"", reply="_INBOX.x", headers=headers)
        await engine.client.publish("$JS.API.DIRECT.GET.DRIFT", b"{}", reply="_INBOX.x", headers=headers)
    await engine.settled()
    await watched.check()


async def test_garbage_and_size_on_all_that_an_engine_can_reach(watched: Watched, guarded: Guarded) -> None:
    subjects = [f"$JS.API.{verb}.{name}" for name in watched.streams for verb in ("STREAM.INFO", "DIRECT.GET")]
    subjects += [f"$JS.API.DIRECT.GET.{name}.>" for name in watched.streams]
    nested, wrong = b"[" * 50_000, json.dumps({"seq": -1, "batch": 10**12, "next_by_subj": "..>.*"}).encode()
    garbage = (b"\xc1\xff garbage", nested, wrong, b"\x00" * 200_000)
    async with guarded.login("engine") as engine:
        for subject in subjects:
            for payload in garbage:
                await engine.client.publish(subject, payload, reply="_INBOX.x")
        await engine.settled()
    await watched.check()


async def test_a_message_over_the_servers_limit_ends_the_connection_of_its_sender_only(
    watched: Watched, guarded: Guarded
) -> None:
    async with guarded.login("engine", allow_reconnect=False) as engine:
        engine.client._max_payload = 10**9  # a hostile client asks nobody's leave
        await engine.client.publish("$JS.API.STREAM.INFO.DRIFT", b"x" * 2_000_000, reply="_INBOX.x")
        await wait_until(lambda: engine.client.is_closed)
    await watched.check()


async def test_a_hostile_replayer_cannot_change_the_bus_either(watched: Watched, guarded: Guarded) -> None:
    async with guarded.login("replay") as login:
        for subject, body in FORBIDDEN.items():
            payload = body if isinstance(body, bytes) else json.dumps(body).encode()
            await login.client.publish(subject, payload, reply="_INBOX.answer")
        for reply in REPLY_TO:
            await login.client.publish("$JS.API.DIRECT.GET.DRIFT", b'{"multi_last":["drift.>"]}', reply=reply)
        await login.settled()
    await watched.check()


async def test_a_publisher_cannot_delete_what_was_published(watched: Watched, guarded: Guarded) -> None:
    forbidden = ("STREAM.DELETE.DRIFT", "STREAM.PURGE.DRIFT", "STREAM.MSG.DELETE.DRIFT", "CONSUMER.CREATE.DRIFT")
    async with guarded.login("publisher") as login:
        for number, action in enumerate(forbidden, start=1):
            await login.client.publish(f"$JS.API.{action}", b"{}", reply="_INBOX.answer")
            await login.settled()
            assert login.refusals == number, f"{action} was not refused"
        await login.client.publish("drift.price.SOL-PERP", FORGED)
        await login.settled()
        assert login.refusals == len(forbidden) + 1
    await watched.check()
