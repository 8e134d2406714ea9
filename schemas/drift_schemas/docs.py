"""Generates the machine-readable contract: ``python -m drift_schemas.docs docs/``."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from drift_schemas.codec import CONTENT_TYPE, SCHEMA_HEADER, schema_of
from drift_schemas.events import EVENT_TYPES, Event, StatusEvent
from drift_schemas.headers import LAST_SEQUENCE_HEADER, REASSERTION_HEADER, SEQUENCE_HEADER
from drift_schemas.subjects import Subjects
from drift_schemas.topology import bucket_ttl_s

__all__ = ["documents", "main"]


def documents() -> dict[str, str]:
    """Returns file name → content of every generated document."""
    schemas = {f"schema/{kind}.json": model.model_json_schema() for kind, model in _models().items()}
    return {
        name: json.dumps(document, indent=2, sort_keys=True) + "\n"
        for name, document in {**schemas, "asyncapi.json": _asyncapi()}.items()
    }


def main(arguments: list[str] | None = None) -> int:
    """Writes the documents below the folder named on the command line."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if len(arguments) != 1:
        sys.stderr.write("usage: python -m drift_schemas.docs FOLDER\n")
        return 2
    for name, content in documents().items():
        path = Path(arguments[0]) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return 0


def _models() -> dict[str, type[Event]]:
    return {**{str(kind): model for kind, model in EVENT_TYPES.items()}, "status": StatusEvent}


def _asyncapi() -> dict[str, Any]:
    subjects = Subjects()
    channels: dict[str, Any] = {
        kind: {
            "address": f"{subjects.prefix}.{kind}.{{market}}",
            "description": f"{_summary(model)} Also kept for {bucket_ttl_s(kind)} s in the bucket drift_{kind}.",
            "parameters": {"market": {"description": "The market's token, such as SOL-PERP."}},
            "messages": {kind: {"$ref": f"#/components/messages/{kind}"}},
        }
        for kind, model in EVENT_TYPES.items()
    }
    channels["status"] = {
        "address": subjects.status,
        "description": f"{_summary(StatusEvent)} Once a second, not stored.",
        "messages": {"status": {"$ref": "#/components/messages/status"}},
    }
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "drift-bus",
            "version": "1",
            "description": "Funding, prices and markets of perpetuals on Solana, on NATS.",
        },
        "defaultContentType": CONTENT_TYPE,
        "channels": channels,
        "operations": {
            f"receive_{name}": {"action": "receive", "channel": {"$ref": f"#/channels/{name}"}} for name in channels
        },
        "components": {"messages": {name: _message(name, model) for name, model in _models().items()}},
    }


def _message(name: str, model: type[Event]) -> dict[str, Any]:
    return {
        "name": schema_of(name),
        "summary": _summary(model),
        "contentType": CONTENT_TYPE,
        "headers": {
            "type": "object",
            "properties": {
                SCHEMA_HEADER: {"type": "string", "const": schema_of(name)},
                SEQUENCE_HEADER: {"type": "string", "description": "Place of the event in the stream."},
                LAST_SEQUENCE_HEADER: {"type": "string", "description": "The event before it on this subject."},
                REASSERTION_HEADER: {"type": "string", "description": "Present on an unchanged, confirmed value."},
            },
        },
        "payload": {"$ref": f"schema/{name}.json"},
    }


def _summary(model: type[Event]) -> str:
    return (model.__doc__ or "").strip().splitlines()[0]


if __name__ == "__main__":
    sys.exit(main())
