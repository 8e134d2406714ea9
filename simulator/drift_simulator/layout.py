"""Program layouts: byte offsets computed from an Anchor IDL, and records that patch single fields."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from typing import Any, NamedTuple

from .drift.sdk import idl_document
from .velocity.types import velocity_document

__all__ = ["Field", "Idl", "Layout", "LayoutError", "Record", "Value", "drift_idl", "switchboard_idl", "velocity_idl"]

Value = int | bytes

_INTEGERS = {f"{sign}{bits}": (bits // 8, sign == "i") for sign in "ui" for bits in (8, 16, 32, 64, 128)}
_GROUPS = ("amm", "market_stats", "fee_ledger")
_NUMBER = re.compile(r"_(?=\d)")
_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


class LayoutError(ValueError):
    """A type, field or value does not fit the program's layout."""


class Field(NamedTuple):
    """Where one leaf lives inside an account and how its bytes are read.

    Args:
        offset: First byte, counted from the start of the account (the discriminator included).
        size: Length in bytes.
        signed: For integers, whether they are two's complement.
        is_bytes: True for public keys and byte arrays; the value is then ``bytes``.
        enum: Name of the enum whose variant number the byte holds, if any.
        is_bool: True for booleans, held as 0 or 1.
    """

    offset: int
    size: int
    signed: bool
    is_bytes: bool
    enum: str | None = None
    is_bool: bool = False


class Layout:
    """The packed layout of one account or event type.

    Paths are dotted and snake-cased, array items by number: ``amm.historical_oracle_data.last_oracle_price``,
    ``fee_structure.fee_tiers.0.fee_numerator``.

    Programs keep the same thing in different places. A field therefore also goes by its own name: without ``amm.``,
    ``market_stats.`` or ``fee_ledger.`` before it, and without an underscore before a digit. So ``volume24h`` is
    ``amm.volume24h`` in Drift and ``market_stats.volume_24h`` in Velocity.

    Args:
        name: The type's name.
        discriminator: Its first eight bytes.
        fields: Its leaves by path.
        size: Its length in bytes.
        variants: Gives an enum's variant numbers by name.

    Attributes:
        paths: Every name that a field goes by, and its path.
    """

    def __init__(
        self,
        name: str,
        discriminator: bytes,
        fields: Mapping[str, Field],
        size: int,
        variants: Callable[[str], dict[str, int]],
    ) -> None:
        self.name = name
        self.discriminator = discriminator
        self.fields = dict(fields)
        self.size = size
        self.variants = variants
        self.paths = _own_names(self.fields) | {path: path for path in self.fields}

    def record(self, data: bytes | None = None) -> Record:
        """Make a record: all fields zero, or read from an account's bytes (trailing bytes are kept)."""
        if data is None:
            data = self.discriminator + bytes(self.size - len(self.discriminator))
        if len(data) < self.size or data[:8] != self.discriminator:
            raise LayoutError(f"{self.name}: not an account of this type ({len(data)} bytes)")
        return Record(self, bytearray(data))


class Record:
    """One account's bytes and its decoded fields; every assignment patches the bytes in place."""

    __slots__ = ("_values", "buffer", "layout")

    def __init__(self, layout: Layout, buffer: bytearray) -> None:
        self.layout = layout
        self.buffer = buffer
        self._values: dict[str, Value] = {}
        for path, field in layout.fields.items():
            raw = bytes(buffer[field.offset : field.offset + field.size])
            self._values[path] = raw if field.is_bytes else int.from_bytes(raw, "little", signed=field.signed)

    def __getitem__(self, path: str) -> int:
        value = self._values[self.layout.paths[path]]
        if isinstance(value, bytes):
            raise LayoutError(f"{path} holds bytes, not a number")
        return value

    def __setitem__(self, path: str, value: Value) -> None:
        path = self.layout.paths[path]
        field = self.layout.fields[path]
        offset = field.offset
        if field.is_bytes:
            if not isinstance(value, bytes) or len(value) != field.size:
                raise LayoutError(f"{path} needs {field.size} bytes")
            self.buffer[offset : offset + field.size] = value
        else:
            if isinstance(value, bytes):
                raise LayoutError(f"{path} needs a number")
            try:
                packed = value.to_bytes(field.size, "little", signed=field.signed)
            except OverflowError as error:
                raise LayoutError(f"{path} cannot hold {value}") from error
            self.buffer[offset : offset + field.size] = packed
        self._values[path] = value

    def raw(self, path: str) -> bytes:
        """Return the bytes of a public key, name or byte array field."""
        value = self._values[self.layout.paths[path]]
        if not isinstance(value, bytes):
            raise LayoutError(f"{path} holds a number, not bytes")
        return value

    def variant(self, path: str) -> str:
        """Return the name of the variant that an enum field holds.

        Raises:
            LayoutError: The field is no enum, or holds a number that none has.
        """
        for name, number in self._variants(path).items():
            if number == self[path]:
                return name
        raise LayoutError(f"{path} holds {self[path]}, which is no variant")

    def choose(self, path: str, variant: str) -> None:
        """Set an enum field to a variant by name.

        Raises:
            LayoutError: The field is no enum, or the program has no such variant.
        """
        variants = self._variants(path)
        if variant not in variants:
            raise LayoutError(f"{path} cannot be {variant}: the program has {', '.join(variants)}")
        self[path] = variants[variant]

    def update(self, values: Mapping[str, Value], prefix: str = "") -> None:
        """Assign several fields, each path prefixed with ``prefix``."""
        for path, value in values.items():
            self[prefix + path] = value

    def values(self) -> dict[str, Value]:
        """Return a copy of all leaves by path."""
        return dict(self._values)

    def _variants(self, path: str) -> dict[str, int]:
        enum = self.layout.fields[self.layout.paths[path]].enum
        if enum is None:
            raise LayoutError(f"{path} is no enum")
        return self.layout.variants(enum)

    def __bytes__(self) -> bytes:
        return bytes(self.buffer)


class Idl:
    """An Anchor IDL, asked for layouts by type name.

    Args:
        document: The parsed IDL JSON (the form before Anchor 0.30, as driftpy ships it).
    """

    def __init__(self, document: Mapping[str, Any]) -> None:
        self._accounts = {entry["name"]: entry["type"] for entry in document.get("accounts", [])}
        self._types = {entry["name"]: entry["type"] for entry in document.get("types", [])}
        self._events = {entry["name"]: entry["fields"] for entry in document.get("events", [])}
        self._layouts: dict[str, Layout] = {}

    def account(self, name: str) -> Layout:
        """Return the layout of an account type, its 8 discriminator bytes included."""
        return self._layout(f"account:{name}", name, lambda: self._accounts[name]["fields"])

    def event(self, name: str) -> Layout:
        """Return the layout of an event type, its 8 discriminator bytes included."""
        return self._layout(f"event:{name}", name, lambda: self._events[name])

    def variants(self, name: str) -> dict[str, int]:
        """Return an enum's variant numbers by name.

        Raises:
            LayoutError: The IDL has no such enum, or its variants carry data.
        """
        definition = self._types.get(name)
        if definition is None or definition["kind"] != "enum":
            raise LayoutError(f"no enum {name} in the IDL")
        if any(variant.get("fields") for variant in definition["variants"]):
            raise LayoutError(f"enum {name} carries data")
        return {variant["name"]: number for number, variant in enumerate(definition["variants"])}

    def _layout(self, key: str, name: str, fields: Callable[[], list[dict[str, Any]]]) -> Layout:
        if key not in self._layouts:
            discriminator = hashlib.sha256(key.encode()).digest()[:8]
            leaves: dict[str, Field] = {}
            try:
                size = self._walk_fields(fields(), "", len(discriminator), leaves)
            except KeyError as error:
                raise LayoutError(f"no {key} in the IDL") from error
            self._layouts[key] = Layout(name, discriminator, leaves, size, self.variants)
        return self._layouts[key]

    def _walk_fields(self, fields: list[dict[str, Any]], prefix: str, offset: int, leaves: dict[str, Field]) -> int:
        for field in fields:
            offset = self._walk(field["type"], prefix + _HUMP.sub("_", field["name"]).lower(), offset, leaves)
        return offset

    def _walk(self, kind: Any, path: str, offset: int, leaves: dict[str, Field]) -> int:
        if isinstance(kind, str):
            if kind in _INTEGERS:
                size, signed = _INTEGERS[kind]
                leaves[path] = Field(offset, size, signed, is_bytes=False)
            elif kind == "bool":
                size = 1
                leaves[path] = Field(offset, size, signed=False, is_bytes=False, is_bool=True)
            elif kind == "publicKey":
                size = 32
                leaves[path] = Field(offset, size, signed=False, is_bytes=True)
            else:
                raise LayoutError(f"{path}: {kind} has no fixed size")
            return offset + size
        if "array" in kind:
            item, length = kind["array"]
            if item == "u8":
                leaves[path] = Field(offset, length, signed=False, is_bytes=True)
                return offset + int(length)
            for index in range(length):
                offset = self._walk(item, f"{path}.{index}", offset, leaves)
            return offset
        if "defined" in kind:
            name = kind["defined"]
            definition = self._types[name]
            if definition["kind"] == "struct":
                return self._walk_fields(definition["fields"], f"{path}.", offset, leaves)
            self.variants(name)
            leaves[path] = Field(offset, 1, signed=False, is_bytes=False, enum=name)
            return offset + 1
        raise LayoutError(f"{path}: {kind} has no fixed size")


def _own_names(fields: Iterable[str]) -> dict[str, str]:
    """Return the paths by what their fields are called wherever a program keeps them, where only one is called so."""
    found: dict[str, list[str]] = {}
    for path in fields:
        group, _, rest = path.partition(".")
        name = rest if group in _GROUPS else path
        found.setdefault(_NUMBER.sub("", name), []).append(path)
    return {name: paths[0] for name, paths in found.items() if len(paths) == 1}


@lru_cache(maxsize=1)
def drift_idl() -> Idl:
    """Return the Drift v2 program's IDL as driftpy ships it."""
    return Idl(idl_document("drift.json"))


@lru_cache(maxsize=1)
def velocity_idl() -> Idl:
    """Return the Velocity v1 program's types as the simulator declares them; there is no SDK to take them from."""
    return Idl(velocity_document())


@lru_cache(maxsize=1)
def switchboard_idl() -> Idl:
    """Return the Switchboard On-Demand program's IDL as driftpy ships it."""
    return Idl(idl_document("switchboard_on_demand.json"))
