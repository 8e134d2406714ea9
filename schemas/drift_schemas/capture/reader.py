"""Reads a capture file: its header at once, its records as often as wanted."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from pathlib import Path

from drift_schemas.capture.errors import CaptureDamaged, NotACapture
from drift_schemas.capture.frames import CutShort, Decompress, FrameHead, read_frames
from drift_schemas.capture.records import (
    CaptureEnd,
    CaptureHeader,
    CaptureRecord,
    unpack_header,
    unpack_records,
)

__all__ = ["CaptureReader"]


class CaptureReader:
    """A capture file, whole, cut short, or still being written. Memory is bounded by one frame.

    Args:
        path: The file.
        decompress: zstd's; this package knows no compression of its own.

    Attributes:
        header: What the capture is of.
        cut_short: Where the file ends too early, once it was read to its end; ``None`` for a whole one.

    Raises:
        NotACapture: the file is something else.
        CaptureDamaged: its first frame is not what was written.
        OSError: it cannot be read.
    """

    def __init__(self, path: Path, decompress: Decompress) -> None:
        self.path = path
        self.cut_short: CutShort | None = None
        self._decompress = decompress
        self.header = self._read_header()

    def records(self) -> Generator[CaptureRecord, None, None]:
        """Yields all records in the order of their arrival; ends at the last whole frame.

        Raises:
            CaptureDamaged: a frame is not what was written; everything before it was yielded.
        """
        for _, records in self.frames():
            yield from records

    def frames(self) -> Iterator[tuple[FrameHead, list[CaptureRecord]]]:
        """Yields each frame behind the header's with its records; errors as :meth:`records` has them."""
        self.cut_short = None
        is_closed, expected = False, CutShort(0, 0)
        for frame in self._read_frames():
            if isinstance(frame, CutShort):
                self.cut_short = frame
                return
            head, content = frame
            expected = CutShort(head.number + 1, head.offset + head.size)
            if head.number > 0:
                records = _records(head, content)
                is_closed = is_closed or any(isinstance(record, CaptureEnd) for record in records)
                yield head, [record for record in records if not isinstance(record, CaptureEnd)]
        if not is_closed:
            self.cut_short = expected

    def _read_header(self) -> CaptureHeader:
        for frame in self._read_frames():
            if isinstance(frame, CutShort):
                break
            try:
                return unpack_header(frame[1])
            except NotACapture:
                raise
            except Exception as error:
                raise CaptureDamaged(0, 0, str(error)) from None
        raise NotACapture("the file ends within its header: nothing was captured")

    def _read_frames(self) -> Iterator[tuple[FrameHead, bytes] | CutShort]:
        with self.path.open("rb") as file:
            yield from read_frames(file, self._decompress)


def _records(head: FrameHead, content: bytes) -> list[CaptureRecord | CaptureEnd]:
    try:
        return list(unpack_records(content, head.records))
    except Exception as error:
        raise CaptureDamaged(head.number, head.offset, str(error)) from None
