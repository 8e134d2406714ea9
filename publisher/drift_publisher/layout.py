"""Account layouts as data, and the compiled reader that takes fields straight from their offsets."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from operator import itemgetter
from typing import Any, Final, Generic, TypeVar

from solders.pubkey import Pubkey

from drift_publisher.errors import AccountRefused

__all__ = ["Field", "Layout", "enum_name", "pubkey_text"]

_Record = TypeVar("_Record")
_FORMATS: Final = {
    "u8": "B", "i8": "b", "bool": "?", "u16": "H", "i16": "h", "u32": "I", "i32": "i", "u64": "Q", "i64": "q",
    "u128": "QQ", "i128": "Qq", "pubkey": "32s", "name": "32s", "enum": "B",
}  # fmt: skip


@lru_cache(maxsize=4096)
def pubkey_text(raw: bytes) -> str:
    """Base58 form of a 32-byte address."""
    return str(Pubkey.from_bytes(raw))


@lru_cache(maxsize=4096)
def _name_text(raw: bytes) -> str:
    return raw.rstrip(b" \0").decode("utf-8", errors="replace")


def enum_name(table: Sequence[str], number: int) -> str:
    """The variant's name, or ``Unknown(n)`` for a number that the profile does not know."""
    return table[number] if number < len(table) else f"Unknown({number})"


@dataclass(frozen=True, slots=True)
class Field:
    """One field of an account: byte offset from the account's start, type, and an enum's variants."""

    offset: int
    type: str
    variants: tuple[str, ...] = ()


@dataclass(frozen=True)
class Layout(Generic[_Record]):
    """Where the fields of one account type stand.

    Attributes:
        name: The account's name in the program.
        discriminator: The bytes that it begins with.
        size: Bytes that the layout needs; a longer account is read all the same, for accounts grow at the end.
        record: The NamedTuple that :meth:`read` returns; each of its fields has an entry in ``fields``.
        fields: Field name → where and what.
    """

    name: str
    discriminator: bytes
    size: int
    record: type[_Record]
    fields: Mapping[str, Field]
    _unpack: Callable[[bytes], tuple[Any, ...]] = field(init=False, repr=False)
    _make: Callable[[Iterable[Any]], _Record] = field(init=False, repr=False)
    _pick: itemgetter[int] = field(init=False, repr=False)
    _wide: tuple[int, ...] = field(init=False, repr=False)
    _convert: tuple[tuple[int, Callable[[Any], Any]], ...] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        record: Any = self.record
        ordered = sorted(self.fields.items(), key=lambda item: item[1].offset)
        format_, end, position = "<", 0, 0
        positions: dict[str, int] = {}
        wide: list[int] = []
        convert: list[tuple[int, Callable[[Any], Any]]] = []
        for name, spec in ordered:
            code = _FORMATS[spec.type]
            format_ += "x" * (spec.offset - end) + code
            end = spec.offset + struct.calcsize("<" + code)
            positions[name] = position
            if spec.type in ("u128", "i128"):
                wide.append(position)
            elif spec.type in ("pubkey", "name"):
                convert.append((position, pubkey_text if spec.type == "pubkey" else _name_text))
            elif spec.type == "enum":
                names = [enum_name(spec.variants, number) for number in range(256)]
                convert.append((position, names.__getitem__))
            position += 2 if len(code) == 2 else 1
        object.__setattr__(self, "_unpack", struct.Struct(format_).unpack_from)
        object.__setattr__(self, "_make", record._make)
        object.__setattr__(self, "_pick", itemgetter(*(positions[name] for name in record._fields)))
        object.__setattr__(self, "_wide", tuple(wide))
        object.__setattr__(self, "_convert", tuple(convert))

    def check(self, data: bytes) -> None:
        """Raises AccountRefused where ``data`` is not an account of this layout."""
        if data[: len(self.discriminator)] != self.discriminator:
            raise AccountRefused(
                "discriminator", f"no {self.name}: it begins with {bytes(data[:8]).hex() or 'nothing'}"
            )
        if len(data) < self.size:
            raise AccountRefused("size", f"{self.name} of {len(data)} bytes, the layout needs {self.size}")

    def read(self, data: bytes) -> _Record:
        """Reads the fields.

        Raises:
            AccountRefused: the discriminator is another one, or the account is shorter than the layout.
        """
        self.check(data)
        values = list(self._unpack(data))
        for position in self._wide:
            if upper := values[position + 1]:
                values[position] |= upper << 64
        for position, convert in self._convert:
            values[position] = convert(values[position])
        return self._make(self._pick(values))
