"""The chain's clock account, as a node answers it."""

from __future__ import annotations

import struct

__all__ = ["clock_bytes"]


def clock_bytes(unix_s: float, *, epoch_began_s: int = 0) -> bytes:
    """The bytes: slot, epoch start, epoch, leader epoch, time."""
    return struct.pack("<QqQQq", 1000, epoch_began_s, 0, 0, int(unix_s))
