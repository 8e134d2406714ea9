"""The live terminal view: one frame from one board."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from drift_bus import formats
from drift_bus.board import Board, Row
from drift_bus.rendering import sign_style, state_style

__all__ = ["Surroundings", "frame"]

_SILENT_AFTER_S = 3.0
_ABSENT_STYLE = "dim"
_TRENDS = {1: ("▲", "green"), -1: ("▼", "red"), 0: ("·", "dim")}


@dataclass
class Surroundings:
    """What the frame tells beside the markets.

    Attributes:
        nats_url: Where other programs find the bus, without secrets.
        simulated: The data is invented.
        seconds: When the view ends by itself; ``None`` means never.
        notes: Lines that a component wrote to its stderr, the last one last.
    """

    nats_url: str
    simulated: bool
    seconds: float | None = None
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class _Column:
    title: str
    cell: Callable[[Row], str | Text]
    from_width: int = 0
    justify: str = "right"


def frame(board: Board, about: Surroundings, *, width: int, height: int) -> RenderableType:
    """Returns everything that one screen of ``width`` by ``height`` characters shows."""
    notes = about.notes[-(3 if height >= 30 else 1) :]
    head = [*_headline(board, about, width), Text()]
    foot = [
        *(Text(note, style="yellow", no_wrap=True, overflow="ellipsis") for note in notes),
        _footer(about),
    ]
    free = height - len(head) - len(foot)
    if not board.perps and not board.spots:
        return Group(*head, *_waiting(board), *foot)
    spots = min(len(board.spots), max(2, free // 3 - 2)) if free >= 12 else 0
    perps = free - 1 - (spots + 2 if spots else 0)
    body: list[RenderableType] = [_table("Perp", _PERP_COLUMNS, board.perps, perps, width)]
    if spots:
        body += [Text(), _table("Spot", _SPOT_COLUMNS, board.spots, spots, width)]
    return Group(*head, *body, *foot)


def _headline(board: Board, about: Surroundings, width: int) -> list[Text]:
    status, elapsed = board.status, formats.clock(max(1.0, board.elapsed_s))
    line = Text.assemble((" drift-bus ", "bold reverse"), "  ", no_wrap=True, overflow="ellipsis")
    if board.program:
        line.append(board.program, "bold").append("  ")
    line.append_text(_source(board)).append("  ")
    if about.simulated:
        line.append(" SIMULATED ", "bold black on yellow").append("  ")
    if status is not None:
        line.append(f"slot {status.slot:,}", "bold").append(f"  epoch {status.epoch}", "dim")
    line.append(f"  running {elapsed}", "dim")
    facts = [f"{len(board.live_now)} of {len(board.perps) + len(board.spots)} markets live"]
    if board.first_data_s is not None:
        facts.append(f"first data after {board.first_data_s:.1f} s")
    if status is not None:
        facts += [
            f"{status.rpc_sockets} RPC socket{'' if status.rpc_sockets == 1 else 's'}",
            f"{status.rpc_requests_total:,} requests, {status.rpc_errors_total:,} failed",
            f"{status.events_published_total:,} events",
        ]
    second = Text(" " + "  ·  ".join(facts), style="dim", no_wrap=True, overflow="ellipsis")
    return [line, second] if width >= 60 else [line]


def _source(board: Board) -> Text:
    if board.status is None or board.status_age_s is None:
        return Text("● no heartbeat yet", style="yellow")
    if board.status_age_s > _SILENT_AFTER_S:
        return Text(f"● no heartbeat for {formats.age(board.status_age_s)}", style="bold red")
    reason = f": {board.status.reason}" if board.status.reason else ""
    return Text(f"● {board.status.source_state}{reason}", style=f"bold {state_style(board.status.source_state)}")


def _waiting(board: Board) -> list[Text]:
    line = Text(f" Waiting for first data … {board.elapsed_s:.0f} s", style="bold")
    return [line, Text(" The publisher connects, subscribes and reads a first state.", style="dim"), Text()]


def _footer(about: Surroundings) -> Text:
    end = "Ctrl-C ends" if about.seconds is None else f"Ctrl-C ends, or {about.seconds:g} s"
    line = Text(no_wrap=True, overflow="ellipsis")
    line.append(f" {end}", "bold")
    return line.append(f"  ·  elsewhere: drift-bus watch --nats-url {about.nats_url}", "dim")


def _table(title: str, columns: Sequence[_Column], rows: Sequence[Row], limit: int, width: int) -> Table:
    shown = [column for column in columns if width >= column.from_width]
    table = Table(box=None, padding=(0, 1), header_style="bold cyan", expand=width < 132)
    table.add_column(title, no_wrap=True, style="bold", overflow="ellipsis", min_width=12)
    for column in shown:
        table.add_column(column.title, justify="right", no_wrap=True)
    cut = len(rows) > limit
    for row in rows[: max(0, limit - 1) if cut else limit]:
        style = "" if row.is_live else _ABSENT_STYLE
        table.add_row(_name(row), *(column.cell(row) for column in shown), style=style)
    if cut:
        hidden = len(rows) - max(0, limit - 1)
        table.add_row(Text(f"… {hidden} more", style="dim"), *("" for _ in shown))
    return table


def _name(row: Row) -> Text:
    known = row.market or row.spot
    return Text(row.name, style="yellow" if known is not None and known.status != "Active" else "")


def _oracle(row: Row) -> Text:
    if row.price is None:
        return Text("no fresh price", style=_ABSENT_STYLE)
    text = formats.price(row.price.oracle_price)
    if not row.price.oracle_is_valid:
        return Text(f"{text} !", style="red")
    return Text.assemble(text, " ", _TRENDS[row.trend])


def _mark(row: Row) -> str:
    return formats.price(row.price.mark_price if row.price else None)


def _basis(row: Row) -> Text:
    basis = row.price.basis if row.price else None
    return _coloured(None if basis is None else basis * 10_000, 1)


def _hourly(row: Row) -> Text:
    rate = row.funding.hourly_rate if row.funding else None
    return _coloured(None if rate is None else rate * 100, 5)


def _yearly(row: Row) -> Text:
    return _coloured(row.funding.apr_percent if row.funding else None, 1)


def _estimate(row: Row) -> str:
    rate = row.funding.estimated_hourly_rate_long if row.funding else None
    return formats.signed(None if rate is None else rate * 100, 5)


def _next(row: Row) -> Text:
    if row.funding is None:
        return Text(formats.ABSENT)
    if row.funding.is_paused:
        return Text("paused", style="red")
    timestamp = row.funding.next_funding_ts
    return Text(formats.clock(None if timestamp is None else timestamp - time.time()))


def _status(row: Row) -> Text:
    known = row.market or row.spot
    status = known.status if known else formats.ABSENT
    return Text(status, style="dim" if status == "Active" else "yellow")


def _coloured(value: float | None, decimals: int) -> Text:
    return Text(formats.signed(value, decimals), style=sign_style(value))


_AGE = _Column("Age", lambda row: Text(formats.age(row.age_s), style="dim"))
_PERP_COLUMNS = (
    _Column("Oracle", _oracle),
    _Column("Mark", _mark, 90),
    _Column("Basis bp", _basis, 72),
    _Column("Funding %/h", _hourly),
    _Column("APR %", _yearly, 64),
    _Column("Estimate %/h", _estimate, 100),
    _Column("Next", _next, 78),
    _Column("Open int. $", lambda row: formats.amount(row.open_interest_usd), 110),
    _Column("Status", _status, 132),
    _AGE,
)
_SPOT_COLUMNS = (
    _Column("Oracle", _oracle),
    _Column("Deposit %/y", lambda row: formats.percent(row.spot.deposit_rate / 1e4 if row.spot else None)),
    _Column("Borrow %/y", lambda row: formats.percent(row.spot.borrow_rate / 1e4 if row.spot else None)),
    _Column("Used %", lambda row: formats.percent(row.spot.utilization / 1e4 if row.spot else None, 1)),
    _Column("Status", _status, 90),
    _AGE,
)
