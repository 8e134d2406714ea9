"""The folder of an export: one writer at a time, and no trace where nothing came of it."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from drift_subscribers.archive.errors import ArchiveError, OtherExport
from drift_subscribers.archive.manifest import MANIFEST

__all__ = ["locked_folder", "remove_traces"]

_LOCK: Final = ".export.lock"


@contextlib.contextmanager
def locked_folder(folder: Path) -> Iterator[None]:
    """Makes the folder, and keeps other exports from writing to it.

    Raises:
        OtherExport: it holds files and no export, or another export writes there now.
        ArchiveError: it cannot be written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not (folder / MANIFEST).exists() and any(path.name != _LOCK for path in folder.iterdir()):
            raise OtherExport(f"{folder} holds files, but no export: use a folder of its own")
        handle = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise ArchiveError(f"cannot write to {folder}: {error.strerror}") from None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError:
        raise OtherExport(f"another export writes to {folder} now: wait for it, or use another folder") from None
    finally:
        os.close(handle)


def remove_traces(folder: Path) -> None:
    """Removes manifest, lock and empty folders of an export that holds nothing."""
    for path in (folder / MANIFEST, folder / _LOCK):
        path.unlink(missing_ok=True)
    for path in [*folder.glob("kind=*/day=*"), *folder.glob("kind=*"), folder]:
        with contextlib.suppress(OSError):
            path.rmdir()
