"""A wall clock for child processes that jumps when a test says so (libfaketime); the steady clock stays true."""

from __future__ import annotations

from pathlib import Path
from typing import Final

__all__ = ["JumpingClock", "find_libfaketime"]

_PLACES: Final = ("/usr/lib/*/faketime", "/usr/lib/faketime", "/usr/lib64/faketime", "/usr/local/lib/faketime")


def find_libfaketime() -> Path | None:
    """The library, where it is installed; the variant for programs with threads."""
    for place in _PLACES:
        for found in Path("/").glob(f"{place[1:]}/libfaketimeMT.so.1"):
            return found
    return None


class JumpingClock:
    """One wall clock for any number of processes.

    Args:
        library: libfaketime.
        folder: Where the file lies that says how far the clock is off.
    """

    def __init__(self, library: Path, folder: Path) -> None:
        self._library = library
        self._file = folder / "faketime"
        self.jump(0)

    @property
    def environment(self) -> dict[str, str]:
        """What a process needs in its environment to live by this clock."""
        return {
            "LD_PRELOAD": str(self._library),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "DONT_FAKE_MONOTONIC": "1",
        }

    def jump(self, seconds: int) -> None:
        """From now on the clock is so many seconds ahead of the true one; negative: behind."""
        written = self._file.with_suffix(".new")
        written.write_text(f"{seconds:+d}\n")
        written.rename(self._file)
