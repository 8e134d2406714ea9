"""The AsyncAPI document: valid by its own standard, and true of what a publisher sends."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
import msgpack
from nats.aio.client import Client
from nats.aio.msg import Msg

from drift_bus.nats_server import LocalNatsServer
from drift_schemas import KINDS, REASSERTION_HEADER, Topology
from drift_schemas.access import close_quietly
from drift_schemas.docs import documents
from drift_simulator import Simulator, SimulatorConfig
from tests.support.node import node_packages
from tests.support.publishing import running_publisher
from tests.support.wait import wait_until

DOCUMENT = json.loads(documents()["asyncapi.json"])
TOPOLOGY = Topology()


def test_it_is_valid_asyncapi() -> None:
    standard = json.loads((node_packages() / "@asyncapi/specs/schemas/3.0.0-without-$id.json").read_text())
    validator = jsonschema.Draft7Validator(standard)
    validator.validate(DOCUMENT)
    assert not validator.is_valid({**DOCUMENT, "servers": {"open": {"host": "127.0.0.1"}}})  # it does look


def _check(name: str, message: Msg) -> None:
    described = DOCUMENT["components"]["messages"][name]
    headers = {**described["headers"], "additionalProperties": False}
    jsonschema.validate(dict(message.headers or {}), headers, jsonschema.Draft7Validator)
    schema = json.loads(documents()[described["payload"]["$ref"]])
    jsonschema.validate(msgpack.unpackb(message.data), schema, jsonschema.Draft7Validator)


async def test_headers_and_payloads_of_a_publisher_are_those_that_it_describes(nats_server: LocalNatsServer) -> None:
    heard: dict[str, list[Msg]] = {}

    async def keep(message: Msg) -> None:
        heard.setdefault(message.subject.split(".")[1], []).append(message)

    def has_all() -> bool:
        confirmed = any(REASSERTION_HEADER in (message.headers or {}) for message in heard.get("price", ()))
        return confirmed and heard.keys() == {*KINDS, "status"}

    client = Client()
    await client.connect(nats_server.url)
    try:
        for subject in (*(TOPOLOGY.subjects.of_kind(kind) for kind in KINDS), TOPOLOGY.subjects.status):
            await client.subscribe(subject, cb=keep)
        config = SimulatorConfig(host="127.0.0.1", port=0, seed=7, updates_per_second=1.0, program="velocity-v1")
        async with Simulator(config) as simulator, running_publisher(simulator, nats_server):
            await wait_until(has_all)
            stored = [await _last_in_bucket(client, kind) for kind in KINDS]
    finally:
        await close_quietly(client)
    for name, messages in heard.items():
        for message in messages[:20] + messages[-20:]:
            _check(name, message)
    for kind, message in zip(KINDS, stored, strict=True):
        _check(kind, message)


async def _last_in_bucket(client: Client, kind: Any) -> Msg:
    """One value of a bucket, as a direct get answers it."""
    bucket = TOPOLOGY.bucket(kind)
    market = "SOL" if kind == "spot" else "SOL-PERP"
    return await client.request(f"$JS.API.DIRECT.GET.KV_{bucket}.$KV.{bucket}.{market}", b"", timeout=30)
