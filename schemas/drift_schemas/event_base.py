"""What every event has in common, and its integers in natural units."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, ClassVar, Final, Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict

from drift_schemas.quantities import Nanoseconds
from drift_schemas.subjects import Kind
from drift_schemas.units import Unit, scaled_decimal
from drift_schemas.widths import Width, width_in

__all__ = ["SCHEMA_VERSION", "Event", "MarketDataEvent"]

SCHEMA_VERSION: Final = 1
"""Major version of every kind's schema."""

_Number = TypeVar("_Number", Decimal, float)


class _Scaled(Generic[_Number]):
    """An event's fields in natural units: attribute access returns ``Decimal`` or ``float``."""

    __slots__ = ("_convert", "_event")

    def __init__(self, event: Event, convert: type[_Number]) -> None:
        self._event = event
        self._convert: type[_Number] = convert

    def __getattr__(self, field: str) -> _Number | None:
        unit = type(self._event).units().get(field)
        if unit is None:
            raise AttributeError(f"{type(self._event).__name__} has no scaled field {field!r}")
        value = getattr(self._event, field)
        return None if value is None else self._convert(scaled_decimal(value, unit.exponent))


class Event(BaseModel):
    """What every message on the bus carries."""

    model_config = ConfigDict(
        frozen=True, extra="ignore", strict=True, use_attribute_docstrings=True, ser_json_inf_nan="constants"
    )
    _units: ClassVar[dict[type[Event], Mapping[str, Unit]]] = {}
    _widths: ClassVar[dict[type[Event], Mapping[str, Width]]] = {}

    schema_version: int = SCHEMA_VERSION
    """Major version of this kind's schema; a reader skips and counts versions that it does not know."""
    program: str
    """The on-chain program's profile, such as ``drift-v2``."""
    cluster: str
    """``mainnet-beta``, ``devnet``, or ``simulated`` for invented data."""
    epoch: int
    """Which leadership of a publisher wrote this; grows with every take-over."""
    slot: int
    """Slot of the newest account behind this event; 0 while none was seen."""
    published_at_ns: Nanoseconds
    """The publisher handed the event to NATS, by its wall clock."""

    @classmethod
    def units(cls) -> Mapping[str, Unit]:
        """Unit and decimal exponent of each scaled integer field, by the field's name."""
        if cls not in Event._units:
            Event._units[cls] = {
                name: unit
                for name, info in cls.model_fields.items()
                for unit in _units_of(info.annotation, info.metadata)
            }
        return Event._units[cls]

    @classmethod
    def widths(cls) -> Mapping[str, Width]:
        """Range and wire form of each integer field, by the field's name."""
        if cls not in Event._widths:
            Event._widths[cls] = {
                name: width_in(info.annotation, info.metadata)
                for name, info in cls.model_fields.items()
                if _is_integer(info.annotation)
            }
        return Event._widths[cls]

    @property
    def exact(self) -> _Scaled[Decimal]:
        """The integer fields in natural units, exact: ``event.exact.oracle_price``."""
        return _Scaled(self, Decimal)

    @property
    def floats(self) -> _Scaled[float]:
        """The integer fields in natural units, convenient: ``event.floats.oracle_price``."""
        return _Scaled(self, float)


def _is_integer(annotation: Any) -> bool:
    arms = [getattr(arm, "__origin__", arm) for arm in getattr(annotation, "__args__", (annotation,))]
    return annotation is int or arms[:1] == [int]


def _units_of(annotation: Any, metadata: list[Any]) -> list[Unit]:
    nested = [m for arg in getattr(annotation, "__args__", ()) for m in getattr(arg, "__metadata__", ())]
    return [m for m in (*metadata, *nested) if isinstance(m, Unit)]


class MarketDataEvent(Event):
    """What the events of one market have in common."""

    kind: ClassVar[Kind]

    market: str
    """The market's on-chain name, right-trimmed: ``SOL-PERP``; with its index, ``SOL-PERP_p81``, where the name is
    another market's (this one has ended, or several live ones claim it)."""
    market_type: Literal["perp", "spot"]
    """Which table ``market_index`` counts in."""
    market_index: int
    """The market's index in the program."""
    observed_at_ns: Nanoseconds
    """The notification behind this event reached the publisher, by its wall clock."""
