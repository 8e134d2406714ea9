"""Oracle accounts of every format, written field by field."""

from __future__ import annotations

import struct

from drift_publisher.profiles.drift_v2 import DRIFT_V2
from drift_simulator.layout import Value, drift_idl, switchboard_idl

__all__ = ["OWNERS", "aggregator", "lazer", "legacy", "on_demand", "prelaunch", "pull"]

OWNERS = {source: format_.owner for source, format_ in DRIFT_V2.oracle_formats.items()}


def _record(kind: str, **fields: Value) -> bytes:
    record = drift_idl().account(kind).record()
    record.update(fields)
    return bytes(record)


def lazer(price: int, conf: int = 0, exponent: int = -8, slot: int = 0, publish_time: int = 0) -> bytes:
    """Drift's own account of a Pyth Lazer feed."""
    return _record(
        "PythLazerOracle", price=price, conf=conf, exponent=exponent, posted_slot=slot, publish_time=publish_time
    )


def prelaunch(price: int, confidence: int = 0, amm_last_update_slot: int = 0, last_update_slot: int = 0) -> bytes:
    """Drift's own oracle of a market that trades nowhere else yet."""
    return _record(
        "PrelaunchOracle",
        price=price,
        confidence=confidence,
        amm_last_update_slot=amm_last_update_slot,
        last_update_slot=last_update_slot,
    )


def pull(
    price: int, conf: int = 0, exponent: int = -8, slot: int = 0, *, ema_price: int = 0, signatures: int | None = None
) -> bytes:
    """A Pyth receiver's ``PriceUpdateV2``; partially verified, and a byte longer, where ``signatures`` is given."""
    level = b"\x01" if signatures is None else bytes([0, signatures])
    message = struct.pack(
        "<32sqQiqqqQQ", b"\x05" * 32, price, conf, exponent, 1_700_000_000, 1_699_999_999, ema_price, 3, slot
    )
    return bytes.fromhex("22f123639d7ef4cd") + b"\x04" * 32 + level + message


def legacy(
    price: int,
    conf: int = 0,
    exponent: int = -8,
    valid_slot: int = 0,
    *,
    pub_slot: int = 0,
    num: int = 10,
    num_qt: int = 10,
) -> bytes:
    """A Pyth push oracle's price account."""
    data = bytearray(3312)
    struct.pack_into("<IIII", data, 0, 0xA1B2C3D4, 2, 3, 240)
    struct.pack_into("<IiIIQQ", data, 16, 1, exponent, num, num_qt, valid_slot + 1, valid_slot)
    struct.pack_into("<qQIIQ", data, 208, price, conf, 1, 0, pub_slot)
    return bytes(data)


def on_demand(value: int, range_: int = 0, slot: int = 0) -> bytes:
    """A Switchboard On-Demand feed."""
    record = switchboard_idl().account("PullFeedAccountData").record()
    record.update({"result.value": value, "result.range": range_, "result.slot": slot})
    return bytes(record)


def aggregator(
    mantissa: int,
    scale: int,
    std_mantissa: int = 0,
    std_scale: int = 0,
    slot: int = 0,
    *,
    num_success: int = 3,
    min_oracle_results: int = 2,
) -> bytes:
    """A Switchboard v2 aggregator."""
    data = bytearray(3851)
    data[:8] = bytes.fromhex("d9e64165c9a21b7d")
    struct.pack_into("<I", data, 236, min_oracle_results)
    struct.pack_into("<I", data, 341, num_success)
    struct.pack_into("<Q", data, 350, slot)
    data[366:382] = mantissa.to_bytes(16, "little", signed=True)
    struct.pack_into("<I", data, 382, scale)
    data[386:402] = std_mantissa.to_bytes(16, "little", signed=True)
    struct.pack_into("<I", data, 402, std_scale)
    return bytes(data)
