"""What can be imported: events in one order, the same at every reading."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

from drift_subscribers.archive.errors import DamagedExport
from drift_subscribers.archive.events import ArchivedEvent, read_events
from drift_subscribers.archive.manifest import MANIFEST, Manifest

__all__ = ["ExportSource", "ImportSource"]


class ImportSource(Protocol):
    """A history that was kept outside NATS."""

    @property
    def id(self) -> str:
        """Names the history; an import goes on where an earlier one of the same id stopped."""

    @property
    def origin(self) -> dict[str, Any]:
        """Where it comes from, as the stream's metadata tell it."""

    @property
    def rows(self) -> int:
        """How many events it holds; 0 where only reading tells."""

    def check(self) -> None:
        """Reads all of it, and raises where it is damaged."""

    def events(self, after: int) -> Iterator[ArchivedEvent]:
        """The events behind a sequence, each with a higher one than the event before it."""


class ExportSource:
    """An export's folder.

    Raises:
        DamagedExport: it is none.
    """

    def __init__(self, folder: Path) -> None:
        manifest = Manifest.load(folder)
        if manifest is None:
            raise DamagedExport(folder, f"is no export: there is no {MANIFEST} in it")
        self.manifest = manifest
        self._folder = folder

    @property
    def id(self) -> str:
        """The export's own."""
        return self.manifest.id

    @property
    def origin(self) -> dict[str, Any]:
        """The stream that was exported."""
        return {"stream": self.manifest.stream, "created": self.manifest.created}

    @property
    def rows(self) -> int:
        """As the manifest says."""
        return self.manifest.rows

    def check(self) -> None:
        """Compares every part with its checksum; raises DamagedExport."""
        for part in self.manifest.parts:
            part.check(self._folder / part.path, thoroughly=True)

    def events(self, after: int) -> Iterator[ArchivedEvent]:
        """All kinds in the order in which the stream held them."""
        return read_events(self._folder, self.manifest, after=after)
