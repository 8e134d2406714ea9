"""The tables of ``drift-bus snapshot``, one per kind."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

from rich import box
from rich.table import Table
from rich.text import Text

from drift_bus import formats
from drift_bus.rendering import sign_style
from drift_schemas import Kind, MarketDataEvent, bucket_ttl_s

__all__ = ["snapshot_table"]

_Column = tuple[str, Callable[[Any], str | Text]]


def snapshot_table(
    kind: Kind, rows: Sequence[tuple[MarketDataEvent, int, float]], *, as_of_s: float | None = None
) -> Table:
    """Returns one kind's table; ``rows`` are (event, revision, age in seconds).

    ``as_of_s``, in seconds since the epoch, is the moment that the table shows; then the rows hold a sequence of the
    stream where else a revision is.
    """
    programs = " and ".join(sorted({event.program for event, _, _ in rows}))
    simulated = "  SIMULATED" if any(event.cluster == "simulated" for event, _, _ in rows) else ""
    title = Text.assemble(
        (kind, "bold"),
        f"  {len(rows)} market{'' if len(rows) == 1 else 's'} of {programs}, "
        f"each confirmed within {bucket_ttl_s(kind)} s",
        (simulated, "bold yellow"),
    )
    table = Table(title=title, title_justify="left", title_style="", box=box.SIMPLE_HEAD, pad_edge=False)
    columns = _columns(time.time() if as_of_s is None else as_of_s)[kind]
    table.add_column("Market", style="bold", no_wrap=True)
    for name, _ in columns:
        table.add_column(name, justify="right", no_wrap=True)
    for name in ("Slot", "Revision" if as_of_s is None else "Sequence", "Age"):
        table.add_column(name, justify="right", style="dim", no_wrap=True)
    for event, revision, age_s in rows:
        cells = [cell(event) for _, cell in columns]
        table.add_row(event.market, *cells, f"{event.slot:,}", str(revision), formats.age(age_s))
    return table


def _scaled(value: float | None, factor: float) -> float | None:
    return None if value is None else value * factor


def _coloured(value: float | None, decimals: int) -> Text:
    return Text(formats.signed(value, decimals), style=sign_style(value))


def _time_left(timestamp: int | None, now_s: float) -> str:
    return formats.clock(None if timestamp is None else timestamp - now_s)


def _columns(now_s: float) -> dict[Kind, list[_Column]]:
    return {
        "funding": [
            ("Rate %/h", lambda e: _coloured(_scaled(e.hourly_rate, 100), 5)),
            ("8 h %", lambda e: _coloured(e.rate_8h_percent, 4)),
            ("APR %", lambda e: _coloured(e.apr_percent, 2)),
            ("Estimate long %/h", lambda e: formats.signed(_scaled(e.estimated_hourly_rate_long, 100), 5)),
            ("Estimate short %/h", lambda e: formats.signed(_scaled(e.estimated_hourly_rate_short, 100), 5)),
            ("Next", lambda e: "paused" if e.is_paused else _time_left(e.next_funding_ts, now_s)),
        ],
        "price": [
            ("Oracle", lambda e: formats.price(e.oracle_price)),
            ("Valid", lambda e: "yes" if e.oracle_is_valid else Text("no", style="red")),
            ("Bid", lambda e: formats.price(e.bid_price)),
            ("Ask", lambda e: formats.price(e.ask_price)),
            ("Mark", lambda e: formats.price(e.mark_price)),
            ("Basis bp", lambda e: _coloured(_scaled(e.basis, 10_000), 1)),
            ("Source", lambda e: e.oracle_source),
        ],
        "market": [
            ("Status", lambda e: e.status),
            ("Tier", lambda e: e.contract_tier),
            ("Open interest", lambda e: formats.amount(e.open_interest / 1e9)),
            ("Cap", lambda e: formats.amount(e.max_open_interest / 1e9) if e.max_open_interest else "none"),
            ("24 h volume", lambda e: formats.amount(e.volume_24h / 1e6)),
            ("Initial margin %", lambda e: formats.percent(e.margin_ratio_initial / 100, 1)),
            ("Users", lambda e: f"{e.number_of_users:,}"),
        ],
        "spot": [
            ("Status", lambda e: e.status),
            ("Tier", lambda e: e.asset_tier),
            ("Deposit %/y", lambda e: formats.percent(e.deposit_rate / 1e4)),
            ("Borrow %/y", lambda e: formats.percent(e.borrow_rate / 1e4)),
            ("Used %", lambda e: formats.percent(e.utilization / 1e4, 1)),
            ("Source", lambda e: e.oracle_source),
        ],
    }
