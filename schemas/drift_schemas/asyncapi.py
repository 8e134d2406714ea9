"""The AsyncAPI document: servers, channels, and every header that a message of the bus can carry."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from drift_schemas.codec import CONTENT_TYPE, SCHEMA_HEADER, schema_of
from drift_schemas.events import EVENT_TYPES, Event, StatusEvent
from drift_schemas.headers import (
    LAST_SEQUENCE_HEADER,
    MSG_ID_HEADER,
    REASSERTION_HEADER,
    REPLAY_HEADER,
    SEQUENCE_HEADER,
    STORED_AT_HEADER,
    STORED_SEQUENCE_HEADER,
    STREAM_HEADER,
    SUBJECT_HEADER,
    TIME_STAMP_HEADER,
    TTL_HEADER,
)
from drift_schemas.subjects import Kind
from drift_schemas.topology import Topology, bucket_ttl_s

__all__ = ["asyncapi"]

_NATS: Final[dict[str, Any]] = {"nats": {}}
"""AsyncAPI's bindings for NATS have one field, a queue group; nobody reads the bus in one."""

_MARKET: Final = {
    "description": (
        "The market's token: its on-chain name, such as SOL-PERP. Characters that a subject cannot carry are escaped "
        "as _xHH for each UTF-8 byte."
    ),
    "examples": ["SOL-PERP", "SOL"],
}


def asyncapi(models: Mapping[str, type[Event]]) -> dict[str, Any]:
    """The document, for the default prefix; ``models`` are the events by the name of their channel."""
    topology = Topology()
    channels = {str(kind): _market_channel(topology, kind, model) for kind, model in EVENT_TYPES.items()}
    channels["status"] = {
        "address": topology.subjects.status,
        "description": f"{_summary(StatusEvent)} Once a second, not stored.",
        "messages": {"status": {"$ref": "#/components/messages/status"}},
        "bindings": _NATS,
    }
    return {
        "asyncapi": "3.0.0",
        "id": "urn:drift-bus:1",
        "info": {
            "title": "drift-bus",
            "version": "1",
            "description": (
                "Funding, prices and markets of perpetuals on Solana, on NATS. Integers of 64 bits are msgpack "
                "integers (format int64, uint64); those of 128 bits are decimal strings (int128, uint128)."
            ),
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": CONTENT_TYPE,
        "servers": _servers(),
        "channels": channels,
        "operations": {
            f"receive_{name}": {
                "action": "receive",
                "channel": {"$ref": f"#/channels/{name}"},
                "summary": f"Subscribe to {channel['address'].replace('{market}', '*')}.",
                "messages": [{"$ref": f"#/channels/{name}/messages/{name}"}],
                "bindings": {"nats": {"bindingVersion": "0.1.0"}},
            }
            for name, channel in channels.items()
        },
        "components": {
            "messages": {name: _message(topology, name, model) for name, model in models.items()},
            "securitySchemes": {
                "nkey": {
                    "type": "asymmetricEncryption",
                    "description": "The role's nkey seed, by which the client signs the server's nonce.",
                }
            },
        },
    }


def _servers() -> dict[str, Any]:
    port = {"port": {"default": "4222", "description": "The client port of nats-server."}}
    return {
        "open": {
            "host": "127.0.0.1:{port}",
            "protocol": "nats",
            "description": "A nats-server without accounts, as drift-bus up starts one.",
            "variables": port,
            "bindings": _NATS,
        },
        "secured": {
            "host": "{host}:{port}",
            "protocol": "nats",
            "description": (
                "A nats-server of drift-bus auth init: TLS from the first byte, an nkey for each engine. An engine "
                "reads its bus by subscriptions and direct gets; it makes no consumer."
            ),
            "variables": {
                "host": {"default": "nats.example.com", "description": "Its name in the certificate."},
                **port,
            },
            "security": [{"$ref": "#/components/securitySchemes/nkey"}],
            "bindings": _NATS,
        },
    }


def _market_channel(topology: Topology, kind: Kind, model: type[Event]) -> dict[str, Any]:
    bucket, ttl_s = topology.bucket(kind), bucket_ttl_s(kind)
    return {
        "address": f"{topology.prefix}.{kind}.{{market}}",
        "description": (
            f"{_summary(model)} Stored in the stream {topology.stream}, and kept for {ttl_s} s in the bucket {bucket}, "
            "where a key that ran out leaves a marker: a message without payload, with the header Nats-Marker-Reason."
        ),
        "parameters": {"market": _MARKET},
        "messages": {kind: {"$ref": f"#/components/messages/{kind}"}},
        "bindings": _NATS,
        "x-jetstream": {
            "stream": topology.stream,
            "bucket": bucket,
            "bucket-stream": topology.bucket_stream(kind),
            "bucket-subject": f"$KV.{bucket}.{{market}}",
            "ttl-seconds": ttl_s,
        },
    }


def _message(topology: Topology, name: str, model: type[Event]) -> dict[str, Any]:
    headers = {
        "Content-Type": {"type": "string", "const": CONTENT_TYPE},
        SCHEMA_HEADER: _text("The kind and its major version.", const=schema_of(name)),
    }
    if model is StatusEvent:
        headers[REPLAY_HEADER] = _REPLAY
        required = sorted(headers.keys() - {REPLAY_HEADER})
    else:
        headers |= _stored_headers(topology)
        required = ["Content-Type", SCHEMA_HEADER]
    return {
        "name": schema_of(name),
        "title": name,
        "summary": _summary(model),
        "contentType": CONTENT_TYPE,
        "headers": {"type": "object", "required": required, "properties": headers},
        "payload": {"$ref": f"schema/{name}.json"},
        "bindings": _NATS,
    }


def _text(description: str, **more: Any) -> dict[str, Any]:
    return {"type": "string", "description": description, **more}


def _number(description: str) -> dict[str, Any]:
    return _text(description, pattern="^[0-9]+$")


_REPLAY: Final = _text("The replay's name. A live message never has it.")


def _stored_headers(topology: Topology) -> dict[str, Any]:
    expected = "Nats-Expected-Last-Subject-Sequence"
    return {
        MSG_ID_HEADER: _text(
            "Program, kind, market, slot and content: the same from every publisher and on every retry, so that the "
            "stream stores an event once."
        ),
        REASSERTION_HEADER: _text(
            "Present on a value that did not change: it renews freshness, is no event, and leaves the stream after "
            "the TTL.",
            const="1",
        ),
        TTL_HEADER: _number("On a re-assertion: seconds after which stream and bucket drop it, the bucket's TTL."),
        f"{expected}-Subject": _text("The fence that keeps out a former leader.", const=topology.subjects.epoch),
        expected: _number("The fence's sequence in the stream."),
        STREAM_HEADER: _text("The stream that stored it; a message without it is not of the stream."),
        SUBJECT_HEADER: _text("The subject under which it is stored there."),
        SEQUENCE_HEADER: _number("Its place in the stream. Order and gaps are told by this and the next header."),
        LAST_SEQUENCE_HEADER: _number("The place of the message before it on this subject; 0: there is none."),
        TIME_STAMP_HEADER: _text("When the stream stored it.", format="date-time"),
        "Nats-Num-Pending": _number("On the answers of a batched direct get: how many are still to come."),
        "Nats-Stream-Source": _text("On an answer out of a bucket: the stream and place that it was sourced from."),
        STORED_AT_HEADER: _number("On a replayed or imported message: Unix nanoseconds at which it was first stored."),
        STORED_SEQUENCE_HEADER: _number("On an imported message: its place in the stream that first stored it."),
        REPLAY_HEADER: _REPLAY,
    }


def _summary(model: type[Event]) -> str:
    return (model.__doc__ or "").strip().splitlines()[0]
