"""The tables of an export: one a kind, its columns read off the event model and the units in it."""

from __future__ import annotations

import types
from collections.abc import Callable
from functools import cache
from operator import itemgetter
from typing import Any, Final, Literal, NamedTuple, Union, get_args, get_origin

from drift_schemas import EVENT_TYPES, MSG_ID_HEADER, STORED_SEQUENCE_HEADER, Kind, MarketDataEvent
from drift_subscribers.history import StoredMessage

__all__ = [
    "KEY_COLUMNS",
    "LAYOUT",
    "Column",
    "ColumnType",
    "Layout",
    "Numbers",
    "Row",
    "columns_of",
    "row_maker",
]

ColumnType = Literal["integer", "unsigned", "wide", "decimal", "text", "flag", "time"]
"""``integer``: 64 bits, signed; ``unsigned``: 64 bits; ``wide``: 38 decimal digits; ``decimal``: 38 digits, of which
``exponent`` behind the point; ``time``: nanoseconds since the epoch, UTC."""

Numbers = Literal["integers", "decimals"]
"""Whether scaled quantities stand as the chain's integers or as decimals in natural units."""

Row = tuple[Any, ...]
"""One event: values in the order of its kind's columns, integers unscaled whatever the file writes."""

Layout = Literal[1, 2]
"""Which columns an export has: a folder keeps the layout that it was begun with. In 1 all 64 bits are signed."""

LAYOUT: Final[Layout] = 2

_UNSIGNED: Final = frozenset({"oracle_confidence", "safe_oracle_confidence"})
"""Fields of which 2^64 - 1 is an ordinary value: the worst confidence there is. Other unsigned fields, prices above
all, have signed columns: unsigned ones wrap round where a reader subtracts them."""


class Column(NamedTuple):
    """One column of a table.

    Attributes:
        name: The event's field, or one of the key columns.
        type: What it holds.
        nullable: It may be absent.
        exponent: A scaled integer stands for ``value * 10**-exponent``; 0 for everything else.
        unit: What a scaled integer counts, in natural units; empty for everything else.
        doc: What it says and where on the chain it comes from.
    """

    name: str
    type: ColumnType
    nullable: bool = False
    exponent: int = 0
    unit: str = ""
    doc: str = ""


KEY_COLUMNS: Final = (
    Column("sequence", "integer", doc="Place in the stream that stored the event first."),
    Column("stream_time", "time", doc="When the stream stored it first."),
    Column("message_id", "text", nullable=True, doc="Nats-Msg-Id under which it was published."),
)
"""The columns that every table begins with."""


@cache
def columns_of(kind: Kind, numbers: Numbers = "integers", layout: Layout = LAYOUT) -> tuple[Column, ...]:
    """The columns of a kind's table: the key columns, then the event's fields in their order."""
    model = EVENT_TYPES[kind]
    return KEY_COLUMNS + tuple(_column(model, name, numbers, layout) for name in model.model_fields)


def row_maker(kind: Kind) -> Callable[[StoredMessage, MarketDataEvent], Row]:
    """Returns the function that makes a row of a stored message and its decoded event."""
    fields = itemgetter(*EVENT_TYPES[kind].model_fields)

    def row(message: StoredMessage, event: MarketDataEvent) -> Row:
        headers = message.headers
        sequence = int(headers.get(STORED_SEQUENCE_HEADER) or message.sequence)
        return (sequence, message.stored_at_ns, headers.get(MSG_ID_HEADER), *fields(event.__dict__))

    return row


def _column(model: type[MarketDataEvent], name: str, numbers: Numbers, layout: Layout) -> Column:
    info = model.model_fields[name]
    base, nullable = _base_type(info.annotation)
    unit = model.units().get(name)
    exponent, counts = (unit.exponent, unit.name) if unit else (0, "")
    kind: ColumnType
    if base is bool:
        kind = "flag"
    elif base is str:
        kind = "text"
    elif base is int:
        kind = "wide" if model.widths()[name].is_text else "integer"
        if name in _UNSIGNED and layout > 1:
            kind = "unsigned"
        if exponent and numbers == "decimals":
            kind = "decimal"
    else:
        raise TypeError(f"{model.__name__}.{name}: no column type for {info.annotation}")
    return Column(name, kind, nullable, exponent, counts, " ".join((info.description or "").split()))


def _base_type(annotation: Any) -> tuple[type | None, bool]:
    """The Python type behind ``Annotated``, ``Literal`` and ``| None``, and whether ``None`` is possible."""
    if get_origin(annotation) in (Union, types.UnionType):
        arms = [arm for arm in get_args(annotation) if arm is not type(None)]
        return (_base_type(arms[0])[0] if len(arms) == 1 else None), len(arms) < len(get_args(annotation))
    if get_origin(annotation) is Literal:
        return type(get_args(annotation)[0]), False
    if hasattr(annotation, "__metadata__"):
        return _base_type(annotation.__origin__)
    return (annotation if isinstance(annotation, type) else None), False
