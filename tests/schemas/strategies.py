"""Any event that the wire carries."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from drift_schemas import EVENT_TYPES, KINDS, Event, StatusEvent, Width
from drift_schemas.widths import INT64

__all__ = ["MODELS", "events", "integers"]

MODELS: dict[str, type[Event]] = {**{kind: EVENT_TYPES[kind] for kind in KINDS}, "status": StatusEvent}

_TEXT = st.text(max_size=40)
_BY_TYPE: dict[Any, st.SearchStrategy[Any]] = {
    str: _TEXT,
    bool: st.booleans(),
    tuple[str, ...]: st.lists(_TEXT, max_size=5).map(tuple),
    dict[str, int]: st.dictionaries(_TEXT, st.integers(INT64.low, INT64.high), max_size=5),
}
_NAMES = st.text("ABCXYZabcx0189_-", min_size=1, max_size=16).map(lambda name: f"{name}-PERP")


def events(kind: str) -> st.SearchStrategy[Event]:
    """Events of a kind with any values, each integer up to the bounds of its width."""
    model = MODELS[kind]
    fields: dict[str, st.SearchStrategy[Any]] = {}
    for name, info in model.model_fields.items():
        if width := model.widths().get(name):
            fields[name] = integers(width) if info.annotation is int else st.none() | integers(width)
        else:
            fields[name] = _BY_TYPE.get(info.annotation, st.none())
    fields["schema_version"] = st.just(1)
    if "market" in fields:
        fields["market"] = _NAMES
        fields["market_type"] = st.sampled_from(["perp", "spot"])
    return st.builds(model, **fields)


def integers(width: Width) -> st.SearchStrategy[int]:
    """Integers of a width, its bounds and small ones among them."""
    few = st.sampled_from([width.low, width.high, 0, 1])
    return few | st.integers(max(width.low, -1000), 1000) | st.integers(width.low, width.high)
