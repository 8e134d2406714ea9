"""The capture file: what a Solana node told a publisher, kept as it came. ``docs/capture.md`` describes the bytes."""

from drift_schemas.capture.errors import CaptureDamaged, CaptureError, NotACapture
from drift_schemas.capture.frames import Compress, CutShort, Decompress, FrameHead, pack_frame, read_frames
from drift_schemas.capture.reader import CaptureReader
from drift_schemas.capture.records import (
    CapturedAccount,
    CapturedSlot,
    CaptureHeader,
    CaptureRecord,
    pack_account,
    pack_end,
    pack_header,
    pack_slot,
)

__all__ = [
    "CaptureDamaged",
    "CaptureError",
    "CaptureHeader",
    "CaptureReader",
    "CaptureRecord",
    "CapturedAccount",
    "CapturedSlot",
    "Compress",
    "CutShort",
    "Decompress",
    "FrameHead",
    "NotACapture",
    "pack_account",
    "pack_end",
    "pack_frame",
    "pack_header",
    "pack_slot",
    "read_frames",
]
