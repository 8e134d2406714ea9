"""Any event that the models allow."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from drift_schemas import EVENT_TYPES, KINDS, Event, StatusEvent

__all__ = ["MODELS", "events"]

MODELS: dict[str, type[Event]] = {**{kind: EVENT_TYPES[kind] for kind in KINDS}, "status": StatusEvent}

_INTEGERS = st.integers(-(2**127), 2**127 - 1) | st.integers(-(2**65), 2**65)
_TEXT = st.text(max_size=40)
_BY_TYPE: dict[Any, st.SearchStrategy[Any]] = {
    int: _INTEGERS,
    str: _TEXT,
    bool: st.booleans(),
    int | None: st.none() | _INTEGERS,
    tuple[str, ...]: st.lists(_TEXT, max_size=5).map(tuple),
    dict[str, int]: st.dictionaries(_TEXT, _INTEGERS, max_size=5),
}
_NAMES = st.text("ABCXYZabcx0189_-", min_size=1, max_size=16).map(lambda name: f"{name}-PERP")


def events(kind: str) -> st.SearchStrategy[Event]:
    """Events of a kind with any values, integers far beyond 64 bits among them."""
    model = MODELS[kind]
    fields: dict[str, st.SearchStrategy[Any]] = {}
    for name, info in model.model_fields.items():
        fields[name] = _BY_TYPE.get(_plain(info.annotation), st.none())
    fields["schema_version"] = st.just(1)
    if "market" in fields:
        fields["market"] = _NAMES
        fields["market_type"] = st.sampled_from(["perp", "spot"])
    return st.builds(model, **fields)


def _plain(annotation: Any) -> Any:
    """The annotation without its unit: ``Annotated[int, …] | None`` is ``int | None``."""
    arguments = getattr(annotation, "__args__", None)
    if arguments and type(None) in arguments:
        return int | None
    return annotation
