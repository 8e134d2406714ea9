"""Generates the machine-readable contract: ``python -m drift_schemas.docs docs/``."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any, Final

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue

from drift_schemas.asyncapi import asyncapi
from drift_schemas.events import EVENT_TYPES, Event, StatusEvent
from drift_schemas.widths import INT64

__all__ = ["documents", "main"]

_DRAFT: Final = "http://json-schema.org/draft-07/schema#"
"""What AsyncAPI's own schemas are made of, and every generator of code reads."""


def documents() -> dict[str, str]:
    """Returns file name → content of every generated document."""
    models: dict[str, type[Event]] = {
        **{str(kind): model for kind, model in EVENT_TYPES.items()},
        "status": StatusEvent,
    }
    schemas = {f"schema/{kind}.json": _schema(kind, model) for kind, model in models.items()}
    return {
        name: json.dumps(document, indent=2, sort_keys=True) + "\n"
        for name, document in {**schemas, "asyncapi.json": asyncapi(models)}.items()
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


class _Generate(GenerateJsonSchema):
    """Says of every integer how wide it is."""

    def int_schema(self, schema: Any) -> JsonSchemaValue:
        return {**super().int_schema(schema), **INT64.json_schema()}


def _schema(kind: str, model: type[Event]) -> dict[str, Any]:
    schema = model.model_json_schema(schema_generator=_Generate)
    version = model.model_fields["schema_version"].default
    return {"$schema": _DRAFT, "$id": f"urn:drift-bus:{kind}:{version}", **schema}


if __name__ == "__main__":
    sys.exit(main())
