"""Compares a record of ours with driftpy's decode of the same bytes, leaf by leaf."""

from __future__ import annotations

from typing import Any

from driftpy.accounts.oracle import DRIFT_CODER, SWB_ON_DEMAND_CODER

from drift_simulator.layout import Layout, Record, drift_idl

__all__ = ["assert_decodes_alike", "decode", "decode_switchboard"]


def decode(data: bytes) -> Any:
    """Decode a Drift account with driftpy."""
    return DRIFT_CODER.accounts.decode(data)


def decode_switchboard(data: bytes) -> Any:
    """Decode a Switchboard On-Demand feed with driftpy."""
    return SWB_ON_DEMAND_CODER.accounts.decode(data)


def _leaf(decoded: Any, path: str) -> Any:
    for part in path.split("."):
        decoded = decoded[int(part)] if part.isdigit() else getattr(decoded, part)
    return decoded


def assert_decodes_alike(record: Record, decoded: Any) -> None:
    """Assert that every field of a record is what driftpy read."""
    layout: Layout = record.layout
    for path, field in layout.fields.items():
        value = _leaf(decoded, path)
        if field.enum is not None:
            names = {number: name for name, number in drift_idl().variants(field.enum).items()}
            assert type(value).__name__ == names[record[path]], path
        elif field.is_bytes:
            assert bytes(value) == record.raw(path), path
        else:
            assert int(value) == record[path], path
