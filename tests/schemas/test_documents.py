"""The generated contract: current, and true of real events."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from drift_schemas.docs import documents, main
from tests.schemas.strategies import MODELS, events

DOCS = Path(__file__).parents[2] / "docs"


@pytest.mark.parametrize("name", sorted(documents()))
def test_the_documents_in_the_repository_are_current(name: str) -> None:
    assert (DOCS / name).read_text() == documents()[name], "run: python -m drift_schemas.docs docs/"


def test_no_schema_is_left_from_an_earlier_time() -> None:
    assert {f"schema/{path.name}" for path in (DOCS / "schema").iterdir()} <= set(documents())


@given(kind=st.sampled_from(sorted(MODELS)), data=st.data())
def test_the_schemas_are_true_of_every_event(kind: str, data: st.DataObject) -> None:
    event = data.draw(events(kind))
    schema = json.loads(documents()[f"schema/{kind}.json"])
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(json.loads(event.model_dump_json()), schema, jsonschema.Draft202012Validator)


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


def test_they_are_written_where_they_are_asked_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path)]) == 0
    assert (tmp_path / "asyncapi.json").is_file()
    assert main([]) == 2
    assert "usage" in capsys.readouterr().err
