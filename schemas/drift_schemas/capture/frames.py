"""Frames: each a second of records, compressed on its own behind a head that tells its length and checksum.

The head is a skippable frame of zstd, so that the whole file is a valid ``.zst`` as well.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterator
from typing import BinaryIO, Final, NamedTuple

from drift_schemas.capture.errors import CaptureDamaged, NotACapture

__all__ = ["Compress", "CutShort", "Decompress", "FrameHead", "pack_frame", "read_frames"]

Compress = Callable[[bytes], bytes]
Decompress = Callable[[bytes, int], bytes]
"""Compressed bytes and the length of what is in them → the content; any exception says that they are damaged."""

_MAGIC: Final = b"DRIFTCAP"
_SKIPPABLE: Final = 0x184D2A5D
_HEAD: Final = struct.Struct("<II8sIIIIII")
"""Magic, bytes to skip, ours; number, size, content size, records; checksums of the body and of the head before it."""
_BEGINNING: Final = struct.pack("<II8s", _SKIPPABLE, _HEAD.size - 8, _MAGIC)
_MOST_BYTES: Final = 128 * 2**20


class FrameHead(NamedTuple):
    """One frame: number, place in the file, sizes in bytes, and how many records it holds."""

    number: int
    offset: int
    size: int
    content_size: int
    records: int


class CutShort(NamedTuple):
    """The file ends too early: in the middle of ``frame``, or before it and without an end.

    Attributes:
        frame: Number of the first frame that is not whole.
        offset: Bytes of the file that are good.
    """

    frame: int
    offset: int

    def __str__(self) -> str:
        return f"cut short: it ends without a close, {self.frame} frames ({self.offset:,} bytes) of it are whole"


def pack_frame(number: int, records: int, content: bytes, compress: Compress) -> bytes:
    """One frame as bytes.

    Args:
        number: Its place in the file, from 0.
        records: How many records are in ``content``.
        content: Packed records.
        compress: zstd.
    """
    body = compress(content)
    told = (number, len(body), len(content), records, zlib.crc32(body))
    head = _HEAD.pack(_SKIPPABLE, _HEAD.size - 8, _MAGIC, *told, 0)
    return head[:-4] + struct.pack("<I", zlib.crc32(head[:-4])) + body


def read_frames(file: BinaryIO, decompress: Decompress) -> Iterator[tuple[FrameHead, bytes] | CutShort]:
    """Yields head and content of each frame from the file's beginning; last a :class:`CutShort` where one is not whole.

    Raises:
        NotACapture: the file does not begin with a frame.
        CaptureDamaged: a frame's bytes are not those that were written.
    """
    number = offset = 0
    while raw := file.read(_HEAD.size):
        if number == 0 and not _BEGINNING.startswith(raw[: len(_BEGINNING)]):
            raise NotACapture("this is no capture of drift-bus")
        if len(raw) < _HEAD.size:
            yield CutShort(number, offset)
            return
        _, _, _, told_number, size, content_size, records, checksum, head_checksum = _HEAD.unpack(raw)
        if not raw.startswith(_BEGINNING):
            raise CaptureDamaged(number, offset, "a frame ought to begin here")
        if zlib.crc32(raw[:-4]) != head_checksum:
            raise CaptureDamaged(number, offset, "the checksum of its head does not match")
        if told_number != number:
            raise CaptureDamaged(number, offset, f"frame {told_number} stands here")
        if max(size, content_size) > _MOST_BYTES:
            raise CaptureDamaged(number, offset, f"it says it holds {max(size, content_size):,} bytes")
        body = file.read(size)
        if len(body) < size:
            yield CutShort(number, offset)
            return
        if zlib.crc32(body) != checksum:
            raise CaptureDamaged(number, offset, "its checksum does not match")
        try:
            content = decompress(body, content_size)
        except Exception as error:
            raise CaptureDamaged(number, offset, str(error)) from None
        yield FrameHead(number, offset, len(raw) + size, content_size, records), content
        number, offset = number + 1, offset + len(raw) + size
    if number == 0:
        raise NotACapture("the file is empty")
