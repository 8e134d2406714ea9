"""What can be wrong with a capture file."""

from __future__ import annotations

__all__ = ["CaptureDamaged", "CaptureError", "NotACapture"]


class CaptureError(ValueError):
    """A capture cannot be read. Its text is one line that names the place and the remedy."""


class NotACapture(CaptureError):
    """The file is something else, or of a format version that this software does not know."""


class CaptureDamaged(CaptureError):
    """The file's bytes are not those that were written.

    Attributes:
        frame: Number of the damaged frame, from 0; all frames before it are good.
        offset: Where that frame begins in the file, in bytes.
    """

    def __init__(self, frame: int, offset: int, why: str) -> None:
        super().__init__(f"damaged at frame {frame}, byte {offset}: {why}; what is before it is good")
        self.frame = frame
        self.offset = offset
