"""A reconciliation on a terminal: each field once, then the figures that matter."""

from __future__ import annotations

from typing import Final

from rich import box
from rich.table import Table
from rich.text import Text

from drift_bus import formats
from drift_bus.reconcile.comparison import Comparison
from drift_bus.reconcile.figures import Field
from drift_bus.reconcile.numbers import plain, signed
from drift_bus.reconcile.report import Report
from drift_bus.reconcile.summary import summaries
from drift_bus.rendering import OutputConsole

__all__ = ["print_report"]

_NAMES: Final[dict[Field, str]] = {
    "funding_long": "funding long %/h",
    "funding_short": "funding short %/h",
    "open_interest_long": "open interest long",
    "open_interest_short": "open interest short",
    "oracle_price": "oracle price",
    "mark_price": "mark price",
}
_STYLES: Final = {"agrees": "green", "differs": "bold red", "absent": "yellow", "not compared": "yellow"}
_ABSENT_ON: Final = {"bus": "absent on the bus", "hosted": "absent hosted", "both": "absent on both"}


def print_report(report: Report, *, everything: bool) -> None:
    """Writes the tables: each field once, then the figures that do not agree, or all of them."""
    console, result = OutputConsole(), report.result
    console.print(Text(_heading(report)), soft_wrap=True)
    console.print(_summary(report))
    shown = [one for one in result.comparisons if everything or one.verdict != "agrees"]
    if shown:
        console.print(_details(report, shown))
    for warning in report.warnings():
        console.print(Text(f"! {warning}", "yellow"), soft_wrap=True)
    verdict = "the bus agrees with the hosted API" if result.agrees else "the bus and the hosted API differ"
    console.print(Text(verdict, "green" if result.agrees else "bold red"))


def _heading(report: Report) -> str:
    bus, answer = report.bus, report.answer
    origins = [origin for of_kind in bus.origins.values() for origin in of_kind.values()]
    ages, slots = [origin.age_s for origin in origins], [origin.slot for origin in origins]
    markets = len(report.result.markets)
    return (
        f"bus {report.prefix}: {', '.join(bus.programs)} on {', '.join(bus.clusters)}, "
        f"slots {min(slots):,} to {max(slots):,}, "
        f"confirmed {formats.age(min(ages))} to {formats.age(max(ages))} ago\n"
        f"hosted: {answer.where}, {len(answer.hosted.markets)} perp markets, "
        f"answered within {formats.age(answer.took_s)}\n"
        f"{markets} market{'' if markets == 1 else 's'} on both; funding {report.basis}, as what flows to the side"
    )


def _summary(report: Report) -> Table:
    table = _table("Field", ("Compared", "Differ", "Absent", "Largest difference", "bps", "Market", "Tolerance"))
    for one in summaries(report.result):
        worst = one.worst
        table.add_row(
            _NAMES[one.field],
            str(one.compared),
            str(one.differing),
            str(one.absent),
            formats.ABSENT if worst is None else signed(worst.difference),
            formats.ABSENT if worst is None else _bps(worst),
            formats.ABSENT if worst is None else worst.market,
            formats.ABSENT if worst is None else f"{plain(worst.limit)} {'bps' if worst.is_relative else '%/h'}",
            Text(one.verdict, _STYLES[one.verdict]),
        )
    return table


def _details(report: Report, shown: list[Comparison]) -> Table:
    table = _table("Market", ("Field", "Bus", "Hosted", "Difference", "bps", "Slot", "Age"))
    for one in shown:
        origin = report.origin(one)
        table.add_row(
            one.market,
            _NAMES[one.field],
            plain(one.bus),
            plain(one.hosted),
            signed(one.difference),
            _bps(one),
            formats.ABSENT if origin is None else f"{origin.slot:,}",
            formats.ABSENT if origin is None else formats.age(origin.age_s),
            Text(_ABSENT_ON[one.absent_on] if one.absent_on else one.verdict, _STYLES[one.verdict]),
        )
    return table


def _table(first: str, others: tuple[str, ...]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column(first, style="bold", no_wrap=True)
    for name in others:
        table.add_column(name, justify="left" if name == "Field" else "right", no_wrap=True)
    table.add_column("Verdict", no_wrap=True)
    return table


def _bps(one: Comparison) -> str:
    if one.relative_bps is None:
        return formats.ABSENT
    return f"{one.relative_bps:+,.1f}" if one.relative_bps else "0"
