"""How wide an integer field is on the wire: what a typed client declares for it, and which fields travel as text.

An integer without a width here is signed and fits into 64 bits (:data:`INT64`). A field of 128 bits is *always* a
decimal string, however small its value: a field whose type depended on its value would pass every test of a Go or Rust
client until the value grows.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal, TypeVar

from pydantic import BeforeValidator, PlainSerializer

__all__ = [
    "I128",
    "INT64",
    "INT128",
    "U64",
    "U128",
    "UINT64",
    "UINT128",
    "IntegerFormat",
    "Width",
    "integer_of",
    "width_in",
]

IntegerFormat = Literal["int64", "uint64", "int128", "uint128"]

_DECIMAL: Final = re.compile(r"0|-?[1-9][0-9]{0,38}")
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Width:
    """The range of an integer field, and its form on the wire.

    Attributes:
        format: As the JSON Schemas name it.
        low: Smallest value.
        high: Largest value.
    """

    format: IntegerFormat
    low: int
    high: int

    @property
    def is_text(self) -> bool:
        """It travels as a decimal string."""
        return self.format in ("int128", "uint128")

    def holds(self, value: int) -> bool:
        """Whether a value is in the range."""
        return self.low <= value <= self.high

    def json_schema(self) -> dict[str, Any]:
        """What a JSON Schema says of such a field."""
        if self.is_text:
            digits = "[1-9][0-9]{0,38}" if self.low == 0 else "-?[1-9][0-9]{0,38}"
            return {"type": "string", "format": self.format, "pattern": f"^(?:0|{digits})$"}
        return {"type": "integer", "format": self.format}

    def __get_pydantic_json_schema__(self, schema: Any, handler: Any) -> dict[str, Any]:
        inner = {name: value for name, value in handler(schema).items() if name.startswith("x-")}
        return {**inner, **self.json_schema()}


def integer_of(value: Any) -> Any:
    """An integer of 128 bits from its text; integers pass, for history that is older than the text holds them."""
    if type(value) is not str:
        return value
    if not _DECIMAL.fullmatch(value):
        raise ValueError("a decimal integer was expected, without sign +, leading zeros or spaces")
    return int(value)


INT64: Final = Width("int64", -(2**63), 2**63 - 1)
UINT64: Final = Width("uint64", 0, 2**64 - 1)
INT128: Final = Width("int128", -(2**127), 2**127 - 1)
UINT128: Final = Width("uint128", 0, 2**128 - 1)

_FROM_TEXT: Final = BeforeValidator(integer_of)
_TO_TEXT: Final = PlainSerializer(str, when_used="json")

U64 = Annotated[_T, UINT64]
"""``U64[Price]``: a price that is unsigned on chain, up to 2^64 - 1."""
I128 = Annotated[_T, _FROM_TEXT, _TO_TEXT, INT128]
"""``I128[BaseAmount]``: an amount of 128 bits on chain; a decimal string on the wire."""
U128 = Annotated[_T, _FROM_TEXT, _TO_TEXT, UINT128]
"""The same, unsigned."""


def width_in(annotation: Any, metadata: list[Any]) -> Width:
    """The width of a pydantic field, by its annotation and metadata."""
    nested = [m for arg in getattr(annotation, "__args__", ()) for m in getattr(arg, "__metadata__", ())]
    return next((m for m in (*metadata, *nested) if isinstance(m, Width)), INT64)
