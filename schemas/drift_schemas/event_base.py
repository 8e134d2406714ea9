"""What every event has in common, and its integers in natural units."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Any, ClassVar, Final, Generic, Literal, TypeVar, cast

from pydantic import BaseModel, ConfigDict

from drift_schemas.quantities import Nanoseconds
from drift_schemas.subjects import Kind
from drift_schemas.units import Unit, scaled_decimal
from drift_schemas.widths import Width, width_in

__all__ = ["SCHEMA_VERSION", "Event", "MarketDataEvent", "Number", "Scaled", "ScaledMarketData", "note_receipt"]

SCHEMA_VERSION: Final = 1
"""Major version of every kind's schema."""

Number = TypeVar("Number", Decimal, float)
"""What an event's integers are given as."""


class Scaled(Generic[Number]):
    """An event's fields in natural units: attribute access returns ``Decimal`` or ``float``.

    Each kind of event has a subclass that declares its fields, so that type checkers refuse a name that does not exist
    and editors offer those that do. What is computed is the same for all, from the units in the event's model.
    """

    __slots__ = ("_convert", "_event")

    published_at_ns: Number

    def __init__(self, event: Event, convert: type[Number]) -> None:
        self._event = event
        self._convert: type[Number] = convert

    if not TYPE_CHECKING:  # to a type checker, only what is declared exists

        def __getattr__(self, field: str) -> Number | None:
            unit = type(self._event).units().get(field)
            if unit is None:
                raise AttributeError(f"{type(self._event).__name__} has no scaled field {field!r}")
            value = getattr(self._event, field)
            return None if value is None else self._convert(scaled_decimal(value, unit.exponent))

    def __dir__(self) -> list[str]:
        """The fields, for consoles that complete names."""
        return [*super().__dir__(), *type(self._event).units()]


class ScaledMarketData(Scaled[Number]):
    """What the events of a market have in common."""

    __slots__ = ()

    observed_at_ns: Number


_E = TypeVar("_E", bound="Event")


class Event(BaseModel):
    """What every message on the bus carries."""

    # How it came to us, beside what it says: outside of the fields, so that it is not sent, compared or copied.
    __slots__ = ("_received_at_ns", "_sequence")

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
    def exact(self) -> Scaled[Decimal]:
        """The integer fields in natural units, exact: ``event.exact.oracle_price``."""
        return Scaled(self, Decimal)

    @property
    def floats(self) -> Scaled[float]:
        """The integer fields in natural units, convenient: ``event.floats.oracle_price``."""
        return Scaled(self, float)

    @property
    def sequence(self) -> int | None:
        """Place of the event in the stream that it came out of; ``None`` where it came from elsewhere.

        Not a part of the event: it is neither sent nor stored, equal events may have come at different places, and a
        copy has none.
        """
        return self._receipt("_sequence")

    @property
    def received_at_ns(self) -> int | None:
        """When this process received the event, by its wall clock (ns since the Unix epoch).

        ``None`` where it was not received from a bus; not a part of the event, as ``sequence``.
        """
        return self._receipt("_received_at_ns")

    def _receipt(self, name: str) -> int | None:
        try:
            return cast(int | None, object.__getattribute__(self, name))
        except AttributeError:
            return None


def note_receipt(event: _E, *, sequence: int | None, received_at_ns: int | None) -> _E:
    """Notes on an event how it came to this process: for who decodes events that a bus told; returns the event."""
    object.__setattr__(event, "_sequence", sequence)
    object.__setattr__(event, "_received_at_ns", received_at_ns)
    return event


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

    @property
    def exact(self) -> ScaledMarketData[Decimal]:
        """The integer fields in natural units, exact: ``event.exact.oracle_price``."""
        return ScaledMarketData(self, Decimal)

    @property
    def floats(self) -> ScaledMarketData[float]:
        """The integer fields in natural units, convenient: ``event.floats.oracle_price``."""
        return ScaledMarketData(self, float)
