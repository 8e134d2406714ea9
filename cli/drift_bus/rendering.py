"""Events as people and programs read them: a coloured line, a JSON line."""

from __future__ import annotations

import json
import time
from typing import Any

from rich.console import Console
from rich.text import Text

from drift_bus import formats
from drift_schemas import Event, FundingEvent, MarketEvent, PriceEvent, SpotMarketEvent, StatusEvent

__all__ = ["OutputConsole", "event_line", "json_line", "sign_style", "state_style"]

_KIND_STYLES = {"funding": "magenta", "price": "cyan", "market": "blue", "spot": "yellow", "status": "green"}
_PIPE_WIDTH = 160


class OutputConsole(Console):
    """Stdout for lines and tables; where it is no terminal, wide enough for a table not to lose columns."""

    def __init__(self) -> None:
        super().__init__(highlight=False)
        if not self.is_terminal:
            self.width = _PIPE_WIDTH

    def on_broken_pipe(self) -> None:
        """Leaves the decision to the caller, instead of ending the program here."""
        raise BrokenPipeError


def json_line(event: Event, **more: Any) -> str:
    """One JSON object: the event's fields, then ``more``."""
    return json.dumps({**event.model_dump(mode="json"), **more}, ensure_ascii=False)


def event_line(event: Event, *, reassertion: bool = False, now_ns: int | None = None) -> Text:
    """One line for people: time, kind, market and the figures that matter; dim where nothing changed."""
    now_ns = time.time_ns() if now_ns is None else now_ns
    stamp = time.strftime("%H:%M:%S", time.localtime(event.published_at_ns / 1e9))
    millis = event.published_at_ns // 1_000_000 % 1000
    kind = getattr(event, "kind", "status")
    line = Text(f"{stamp}.{millis:03} ", style="dim" if reassertion else "", end="")
    line.append(f"{kind:<8}", _KIND_STYLES[kind])
    line.append(f"{getattr(event, 'market', ''):<20}", "bold")
    for text, style in _figures(event, now_ns):
        line.append(text, style or "")
        line.append("  ")
    if event.cluster == "simulated":
        line.append("SIMULATED", "yellow")
    if reassertion:
        line.append(" unchanged")
    return line


def sign_style(value: float | None) -> str:
    """Green above zero, red below."""
    return "" if not value else "green" if value > 0 else "red"


def state_style(source_state: str) -> str:
    """Green while live, yellow on the way, red when stalled."""
    return {"live": "green", "polling": "green", "connecting": "yellow"}.get(source_state, "red")


def _figures(event: Event, now_ns: int) -> list[tuple[str, str]]:
    if isinstance(event, FundingEvent):
        hourly = None if event.hourly_rate is None else event.hourly_rate * 100
        wait = None if event.next_funding_ts is None else event.next_funding_ts - now_ns / 1e9
        estimate = event.estimated_hourly_rate_long
        return [
            (f"{formats.signed(hourly, 5)} %/h", sign_style(hourly)),
            (f"APR {formats.signed(event.apr_percent, 2)} %", ""),
            (f"estimate {formats.signed(None if estimate is None else estimate * 100, 5)} %/h", "dim"),
            (
                "paused" if event.is_paused else f"next {formats.clock(wait)}",
                "red" if event.is_paused else "dim",
            ),
        ]
    if isinstance(event, PriceEvent):
        basis = None if event.basis is None else event.basis * 10_000
        figures = [(f"oracle {formats.price(event.oracle_price)}", "" if event.oracle_is_valid else "red")]
        if event.market_type == "perp":
            figures += [
                (f"mark {formats.price(event.mark_price)}", ""),
                (f"bid {formats.price(event.bid_price)} ask {formats.price(event.ask_price)}", "dim"),
                (f"basis {formats.signed(basis, 1)} bp", sign_style(basis)),
            ]
        return figures if event.oracle_is_valid else [*figures, ("oracle not valid", "red")]
    if isinstance(event, MarketEvent):
        return [
            (f"{event.status} {event.contract_tier}", "" if event.status == "Active" else "yellow"),
            (f"open interest {formats.amount(event.open_interest / 1e9)}", ""),
            (f"24 h {formats.amount(event.volume_24h / 1e6)}", ""),
            (f"users {event.number_of_users:,}", "dim"),
        ]
    if isinstance(event, SpotMarketEvent):
        return [
            (f"{event.status} {event.asset_tier}", "" if event.status == "Active" else "yellow"),
            (f"deposit {formats.percent(event.deposit_rate / 1e4)} %", ""),
            (f"borrow {formats.percent(event.borrow_rate / 1e4)} %", ""),
            (f"used {formats.percent(event.utilization / 1e4, 1)} %", "dim"),
        ]
    return _status_figures(event) if isinstance(event, StatusEvent) else []


def _status_figures(event: StatusEvent) -> list[tuple[str, str]]:
    reason = f": {event.reason}" if event.reason else ""
    return [
        (event.program, "bold"),
        (f"{event.source_state}{reason}", state_style(event.source_state)),
        (f"slot {event.slot:,}", ""),
        (f"epoch {event.epoch}", ""),
        (f"markets {len(event.markets)} ({len(event.stale_markets)} stale)", ""),
        (f"sockets {event.rpc_sockets}, requests {event.rpc_requests_total:,}", "dim"),
    ]
