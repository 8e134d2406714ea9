"""The generated contract: current, and true of real events."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from drift_schemas import KINDS, SCHEMA_HEADER, Event, Kind, Topology, bucket_ttl_s, encode, headers
from drift_schemas.docs import documents, main
from tests.schemas.strategies import MODELS, events
from tests.support.bus_writer import sample

DOCS = Path(__file__).parents[2] / "docs"
VALIDATOR = jsonschema.Draft7Validator
DRAFTS = (VALIDATOR, jsonschema.Draft202012Validator)
VALIDATORS = {
    kind: [
        draft(json.loads(documents()[f"schema/{kind}.json"])) for draft in (VALIDATOR, jsonschema.Draft202012Validator)
    ]
    for kind in MODELS
}


@pytest.mark.parametrize("name", sorted(documents()))
def test_the_documents_in_the_repository_are_current(name: str) -> None:
    assert (DOCS / name).read_text() == documents()[name], "run: python -m drift_schemas.docs docs/"


def test_no_schema_is_left_from_an_earlier_time() -> None:
    assert {f"schema/{path.name}" for path in (DOCS / "schema").iterdir()} <= set(documents())


@given(kind=st.sampled_from(sorted(MODELS)), data=st.data())
def test_the_schemas_are_true_of_every_event(kind: str, data: st.DataObject) -> None:
    event = data.draw(events(kind))
    for draft in VALIDATORS[kind]:
        draft.validate(json.loads(event.model_dump_json()))
        draft.validate(json.loads(wire(event)))


def wire(event: Event) -> str:
    """What a message holds, as JSON."""
    return json.dumps(msgpack.unpackb(encode(event)))


@pytest.mark.parametrize("kind", sorted(MODELS))
def test_a_schema_says_what_it_is_and_how_wide_each_integer_is(kind: str) -> None:
    schema = json.loads(documents()[f"schema/{kind}.json"])
    for draft in VALIDATORS[kind]:
        draft.check_schema(schema)
    assert schema["$schema"] == VALIDATOR.META_SCHEMA["$schema"]
    assert schema["$id"] == f"urn:drift-bus:{kind}:1"
    for name, width in MODELS[kind].widths().items():
        said = schema["properties"][name]
        said = next(arm for arm in said.get("anyOf", [said]) if arm.get("type") != "null")
        assert (said["type"], said["format"]) == ("string" if width.is_text else "integer", width.format)


def test_no_integer_of_any_schema_is_left_without_a_width() -> None:
    def widthless(node: Any) -> bool:
        if isinstance(node, dict):
            bare = node.get("type") == "integer" and "format" not in node
            return bare or any(widthless(value) for value in node.values())
        return isinstance(node, list) and any(widthless(value) for value in node)

    assert not [name for name in documents() if widthless(json.loads(documents()[name]))]


@pytest.mark.parametrize(("kind", "name"), [("market", "max_open_interest"), ("spot", "deposit_balance")])
@pytest.mark.parametrize("value", [1, "01", "-1", "1.0", "", None])
def test_a_schema_refuses_what_is_no_text_of_an_integer(kind: Kind, name: str, value: object) -> None:
    schema = json.loads(documents()[f"schema/{kind}.json"])
    fields = json.loads(wire(sample(kind, "SOL")))
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**fields, name: value}, schema, VALIDATOR)


@pytest.mark.parametrize("kind", sorted(MODELS))
def test_the_schemas_refuse_a_missing_field(kind: str) -> None:
    schema = json.loads(documents()[f"schema/{kind}.json"])
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({}, schema, jsonschema.Draft202012Validator)


def test_asyncapi_names_every_channel_and_schema() -> None:
    document = json.loads(documents()["asyncapi.json"])
    assert {channel["address"] for channel in document["channels"].values()} == {
        "drift.funding.{market}",
        "drift.price.{market}",
        "drift.market.{market}",
        "drift.spot.{market}",
        "drift.status",
    }
    for message in document["components"]["messages"].values():
        assert message["payload"]["$ref"] in documents()


def test_asyncapi_says_where_to_connect_and_how_nats_is_bound() -> None:
    document = json.loads(documents()["asyncapi.json"])
    assert {server["protocol"] for server in document["servers"].values()} == {"nats"}
    for part in ("servers", "channels", "operations"):
        assert all("nats" in one["bindings"] for one in document[part].values()), part


def test_asyncapi_names_the_bucket_of_each_channel_as_the_topology_does() -> None:
    document, topology = json.loads(documents()["asyncapi.json"]), Topology()
    for kind in KINDS:
        said = document["channels"][kind]["x-jetstream"]
        assert (said["stream"], said["bucket-stream"]) == (topology.stream, topology.bucket_stream(kind))
        assert said["ttl-seconds"] == bucket_ttl_s(kind)
        source = topology.bucket_config(kind)["sources"][0]["subject_transforms"][0]
        assert said["bucket-subject"].replace("{market}", "{{wildcard(1)}}") == source["dest"]


def test_asyncapi_describes_every_header_that_we_name() -> None:
    named = {getattr(headers, name) for name in headers.__all__} | {SCHEMA_HEADER, "Content-Type"}
    document = json.loads(documents()["asyncapi.json"])
    for kind in KINDS:
        assert named <= set(document["components"]["messages"][kind]["headers"]["properties"])


def test_they_are_written_where_they_are_asked_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path)]) == 0
    assert (tmp_path / "asyncapi.json").is_file()
    assert main([]) == 2
    assert "usage" in capsys.readouterr().err
