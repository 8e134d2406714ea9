"""What can go wrong with an archive, and what each error tells.

* ``ArchiveError``: base of all, itself a ``HistoryError``
    * ``MissingExtra``: a package of the ``replay`` extra is not installed
    * ``OtherExport``: the folder holds something else than the export that was asked for
    * ``DamagedExport``: a file is missing, truncated, altered or not of this format
    * ``UnfitValue``: an event's integer does not fit its column
    * ``ImportRefused``: the target is no stream that an import may write to
    * ``ImportInterrupted``: the server stopped answering, or did not store a message
"""

from __future__ import annotations

from pathlib import Path

from drift_subscribers.history import HistoryError

__all__ = [
    "ArchiveError",
    "DamagedExport",
    "ImportInterrupted",
    "ImportRefused",
    "MissingExtra",
    "OtherExport",
    "UnfitValue",
]


class ArchiveError(HistoryError):
    """Base of the errors of export and import."""


class MissingExtra(ArchiveError):
    """A package that this format needs is not installed."""


class OtherExport(ArchiveError):
    """The folder holds another export, or another one is writing there now."""


class DamagedExport(ArchiveError):
    """A file of an export cannot be trusted.

    Attributes:
        path: The file.
    """

    def __init__(self, path: Path, what: str) -> None:
        super().__init__(f"{path}: {what}")
        self.path = path


class UnfitValue(ArchiveError):
    """Integers are larger than their column can hold; an export leaves these events out, and counts them.

    Attributes:
        rows: The sequences of the events.
    """

    def __init__(self, what: str, rows: frozenset[int]) -> None:
        super().__init__(what)
        self.rows = rows


class ImportRefused(ArchiveError):
    """The target is not a stream that an import may write to."""


class ImportInterrupted(ArchiveError):
    """The import stopped early; the same command goes on where it was."""
