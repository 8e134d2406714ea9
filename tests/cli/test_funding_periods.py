"""Rates on the screen are per hour, whatever the market's funding period: in lines, tables and the live view."""

from __future__ import annotations

from typing import Any

import pytest
from rich.console import Console

from drift_bus.board import Board
from drift_bus.rendering import event_line
from drift_bus.screens import PlainLines
from drift_bus.tables import snapshot_table
from drift_bus.view import Surroundings, frame
from drift_schemas import FundingEvent
from tests.cli.support import funding
from tests.cli.test_view import Feed

EIGHT_HOURS: dict[str, Any] = {
    "funding_rate": 8 * 15_000_000,
    "estimated_funding_rate_long": -8 * 7_500_000,
    "estimated_funding_rate_short": -8 * 7_500_000,
    "funding_period": 8 * 3600,
}


class FeedOfEightHours(Feed):
    """The same markets, settled every eight hours."""

    def funding(self, symbol: str) -> FundingEvent | None:
        event = super().funding(symbol)
        return None if event is None else event.model_copy(update=EIGHT_HOURS)


def shown(event: FundingEvent) -> str:
    """A line of ``watch`` and a table of ``snapshot``, as plain text."""
    console = Console(width=200)
    with console.capture() as captured:
        console.print(event_line(event))
        console.print(snapshot_table("funding", [(event, 1, 0.5)]))
    return captured.get()


def test_a_line_and_a_table() -> None:
    for event in (funding(), funding(**EIGHT_HOURS)):
        text = shown(event)
        for figure in ("+0.01000 %/h", "APR +87.66 %", "estimate -0.00500 %/h", "+0.0800", "-0.00500"):
            assert figure in text


def test_a_period_under_which_nothing_settles_shows_nothing() -> None:
    text = shown(funding(**{**EIGHT_HOURS, "funding_period": 0}))
    for figure in ("– %/h", "APR – %", "estimate – %/h"):
        assert figure in text


@pytest.mark.parametrize("feed", [Feed(), FeedOfEightHours()])
def test_the_live_view_and_its_plain_lines(feed: Feed, capsys: pytest.CaptureFixture[str]) -> None:
    board = Board()
    board.update(feed)
    about = Surroundings("nats://127.0.0.1:4222", False, 20, [])
    console = Console(width=160)
    with console.capture() as captured:
        console.print(frame(board, about, width=160, height=40))
    assert "+0.01000" in captured.get()
    assert "-0.00500" in captured.get()
    assert "+87.7" in captured.get()
    PlainLines().show(board, about)
    assert "funding +0.01000 %/h" in capsys.readouterr().out
