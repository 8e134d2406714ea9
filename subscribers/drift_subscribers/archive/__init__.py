"""The history as files: export to Parquet, CSV and JSON lines, and import of such an export."""

from drift_subscribers.archive.columns import Column, columns_of
from drift_subscribers.archive.errors import (
    ArchiveError,
    DamagedExport,
    ImportInterrupted,
    ImportRefused,
    MissingExtra,
    OtherExport,
    UnfitValue,
)
from drift_subscribers.archive.events import ArchivedEvent
from drift_subscribers.archive.exporter import PART_ROWS, ExportProgress, ExportResult, export_history
from drift_subscribers.archive.files import FORMATS, Format
from drift_subscribers.archive.importer import ImportProgress, ImportResult, import_history
from drift_subscribers.archive.manifest import Manifest, Part, Request
from drift_subscribers.archive.sources import ExportSource, ImportSource

__all__ = [
    "FORMATS",
    "PART_ROWS",
    "ArchiveError",
    "ArchivedEvent",
    "Column",
    "DamagedExport",
    "ExportProgress",
    "ExportResult",
    "ExportSource",
    "Format",
    "ImportInterrupted",
    "ImportProgress",
    "ImportRefused",
    "ImportResult",
    "ImportSource",
    "Manifest",
    "MissingExtra",
    "OtherExport",
    "Part",
    "Request",
    "UnfitValue",
    "columns_of",
    "export_history",
    "import_history",
]
