"""What a bench reports: tables for a person, figures for a machine."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from rich.console import Console
from rich.table import Table as RichTable

__all__ = ["Progress", "Report", "Table", "show"]

Progress = Callable[[str], None]
"""Hears what is being measured now."""


@dataclass
class Table:
    """A title, columns, rows of text."""

    title: str
    columns: tuple[str, ...]
    rows: list[tuple[str, ...]] = field(default_factory=list)

    def add(self, *cells: str) -> None:
        """Adds a row."""
        self.rows.append(cells)


@dataclass
class Report:
    """One bench's outcome."""

    tables: list[Table]
    figures: dict[str, Any]


def show(console: Console, report: Report) -> None:
    """Prints a report's tables."""
    for table in report.tables:
        rich = RichTable(title=table.title, title_justify="left")
        for number, column in enumerate(table.columns):
            rich.add_column(column, justify="left" if number == 0 else "right")
        for row in table.rows:
            rich.add_row(*row)
        console.print(rich)
