"""The file that a capture grows in: ``FILE.part`` until it is whole, then ``FILE``."""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path
from typing import Final

import zstandard

from drift_publisher.errors import PublisherError
from drift_schemas.capture import CaptureHeader, pack_end, pack_frame, pack_header

__all__ = ["CaptureFile", "CaptureFileExists", "CaptureFileFailed"]

_LEVEL: Final = 3
_ROOM_FOR_END: Final = 256


class CaptureFileExists(PublisherError):
    """There is a file already, whole or left over from a capture that did not end."""


class CaptureFileFailed(PublisherError):
    """The file cannot be written; what was written until then is good."""


class CaptureFile:
    """Writes frames to ``FILE.part``. Its calls block; :meth:`add` may run in another thread, one call at a time.

    Args:
        path: The final name.
        overwrite: Replace what is there under either name.
        max_bytes: The file never grows over this size; ``None`` sets no limit.

    Attributes:
        part: Where the bytes are until :meth:`finish`.
        size: Bytes written.

    Raises:
        CaptureFileExists: something is there and ``overwrite`` is not set.
        CaptureFileFailed: the file cannot be made.
    """

    def __init__(self, path: Path, *, overwrite: bool = False, max_bytes: int | None = None) -> None:
        self.path = path
        self.part = path.with_name(f"{path.name}.part")
        self.size = 0
        self._overwrite = overwrite
        self._max_bytes = max_bytes
        self._frames = 0
        self._compress = zstandard.ZstdCompressor(level=_LEVEL).compress
        if path.exists() and not overwrite:
            raise CaptureFileExists(f"{path} is there already: choose another name, or --force to replace it")
        try:
            self._file = self.part.open("wb" if overwrite else "xb", buffering=0)
        except FileExistsError:
            raise CaptureFileExists(
                f"{self.part} is left over from a capture that did not end, or is being written: "
                "rename it to keep it (it can be read as it is), or --force to replace it"
            ) from None
        except OSError as error:
            raise self._failed(error) from None

    def begin(self, header: CaptureHeader) -> None:
        """Writes the header.

        Raises:
            CaptureFileFailed: it cannot be written.
        """
        self._append(1, pack_header(header))

    def add(self, records: int, content: bytes) -> bool:
        """Writes a frame; tells whether there was room for it.

        Raises:
            CaptureFileFailed: it cannot be written.
        """
        return self._append(records, content, room=_ROOM_FOR_END)

    def finish(self) -> None:
        """Writes the end, waits until the disk has everything, and gives the file its final name.

        Raises:
            CaptureFileExists: another file took the name meanwhile; this one stays under ``part``.
            CaptureFileFailed: it cannot be written.
        """
        self._append(1, pack_end(time.time_ns()))
        try:
            os.fsync(self._file.fileno())
            self._file.close()
            if self.path.exists() and not self._overwrite:
                raise CaptureFileExists(f"{self.path} came up meanwhile: the capture stays at {self.part}")
            self.part.replace(self.path)
        except OSError as error:
            raise self._failed(error) from None

    def close(self) -> None:
        """Stops writing, whole or not; a file in which nothing was captured is removed."""
        self._file.close()
        if self._frames == 0:
            with contextlib.suppress(OSError):
                self.part.unlink()

    def _append(self, records: int, content: bytes, *, room: int = 0) -> bool:
        frame = pack_frame(self._frames, records, content, self._compress)
        if self._max_bytes is not None and self.size + len(frame) + room > self._max_bytes and self._frames > 0:
            return False
        try:
            left = memoryview(frame)
            while left:
                left = left[self._file.write(left) or 0 :]
        except OSError as error:
            raise self._failed(error) from None
        self._frames += 1
        self.size += len(frame)
        return True

    def _failed(self, error: OSError) -> CaptureFileFailed:
        return CaptureFileFailed(f"cannot write {self.part}: {error.strerror or error}")
