"""Where ``drift-bus up`` shows its board: a live screen on a terminal, a line a second elsewhere."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Protocol, Self

from drift_bus import formats
from drift_bus.board import Board
from drift_bus.view import Surroundings, frame

__all__ = ["LiveScreen", "PlainLines", "Screen", "screen_for_stdout", "summary"]


class Screen(Protocol):
    """Something that a board can be shown on, again and again."""

    every_s: float

    def __enter__(self) -> Self: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...
    def show(self, board: Board, about: Surroundings) -> None:
        """Shows what is there now."""


def screen_for_stdout() -> Screen:
    """A live screen where stdout is a terminal that can hold one, else plain lines."""
    from rich.console import Console

    console = Console()
    return LiveScreen() if console.is_terminal and not console.is_dumb_terminal else PlainLines()


class LiveScreen:
    """The alternate screen of a terminal, drawn again four times a second."""

    every_s = 0.25

    def __init__(self) -> None:
        from rich.live import Live

        self._live = Live(screen=True, auto_refresh=False, redirect_stdout=False, redirect_stderr=False)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()

    def show(self, board: Board, about: Surroundings) -> None:
        """Draws one frame at the terminal's present size."""
        width, height = self._live.console.size
        self._live.update(frame(board, about, width=width, height=height), refresh=True)


class PlainLines:
    """One line about every second, for logs."""

    every_s = 0.25

    def __init__(self) -> None:
        self._next = time.monotonic()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return

    def show(self, board: Board, about: Surroundings) -> None:
        """Writes a line where a second has passed since the last one."""
        now = time.monotonic()
        if now < self._next:
            return
        self._next = now + 1.0
        sys.stdout.write(_line(board, about) + "\n")
        sys.stdout.flush()


def summary(board: Board) -> str:
    """The last line of a run: how many markets had live data, which, and how soon."""
    perps = [name for name, market_type in board.ever_live.items() if market_type == "perp"]
    spots = [name for name, market_type in board.ever_live.items() if market_type == "spot"]
    if board.first_data_s is None:
        return "no market had live data"
    return (
        f"{len(board.ever_live)} markets had live data ({len(perps)} perp, {len(spots)} spot), "
        f"the first after {board.first_data_s:.1f} s: {', '.join((*perps, *spots))}"
    )


def _line(board: Board, about: Surroundings) -> str:
    status = board.status
    state = status.source_state if status else "no heartbeat yet"
    reason = f" ({status.reason})" if status and status.reason else ""
    label = ("SIMULATED  " if about.simulated else "") + (f"{board.program}  " if board.program else "")
    line = f"{board.elapsed_s:5.1f} s  {label}{state}{reason}  {len(board.live_now)} markets live"
    if status is not None:
        line += f"  slot {status.slot}  epoch {status.epoch}"
    first = next((row for row in board.perps if row.is_live), None)
    if first is not None and first.price is not None:
        rate = first.funding.hourly_rate if first.funding else None
        line += f"  {first.name} {formats.price(first.price.oracle_price)}"
        line += f" funding {formats.signed(None if rate is None else rate * 100, 5)} %/h"
        line += f"  age {formats.age(first.age_s)}"
    return line
