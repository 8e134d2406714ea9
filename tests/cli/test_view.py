"""One frame of the live view, drawn from what a feed would say."""

from __future__ import annotations

import pytest
from rich.console import Console

from drift_bus.board import Board
from drift_bus.screens import summary
from drift_bus.view import Surroundings, frame
from drift_schemas import FundingEvent, Kind, MarketEvent, PriceEvent, SpotMarketEvent, StatusEvent
from tests.cli.support import funding, market, price, spot, status

PERPS = [f"M{number:02}-PERP" for number in range(40)]
SPOTS = [f"S{number:02}" for number in range(15)]


class Feed:
    """Forty perp and fifteen spot markets; ``prices`` may be changed between two looks."""

    def __init__(self, program: str = "drift-v2") -> None:
        self.prices: dict[str, PriceEvent | None] = {
            **{name: price(name, index) for index, name in enumerate(PERPS)},
            **{name: price(name, index, "spot") for index, name in enumerate(SPOTS)},
        }
        self.heartbeat: StatusEvent | None = status(markets=tuple(self.prices), program=program)
        self.heartbeat_age_s = 0.4

    def price(self, symbol: str) -> PriceEvent | None:
        return self.prices.get(symbol)

    def funding(self, symbol: str) -> FundingEvent | None:
        return funding(symbol, PERPS.index(symbol), is_paused=symbol == PERPS[1]) if symbol in PERPS else None

    def market(self, symbol: str) -> MarketEvent | None:
        return market(symbol, PERPS.index(symbol)) if symbol in PERPS else None

    def spot(self, symbol: str) -> SpotMarketEvent | None:
        return spot(symbol, SPOTS.index(symbol)) if symbol in SPOTS else None

    def age_s(self, kind: Kind, symbol: str) -> float | None:
        return 0.5

    def status(self) -> StatusEvent | None:
        return self.heartbeat

    def status_age_s(self) -> float | None:
        return self.heartbeat_age_s


def drawn(board: Board, *, width: int, height: int, simulated: bool = True) -> list[str]:
    """The screen as lines of plain text."""
    console = Console(width=width, height=height, record=True, file=None, quiet=False)
    about = Surroundings("nats://127.0.0.1:4222", simulated, 20, ["publisher: something to know"])
    with console.capture() as captured:
        console.print(frame(board, about, width=width, height=height))
    return captured.get().splitlines()


@pytest.mark.parametrize(("width", "height"), [(160, 60), (120, 40), (100, 30), (80, 24), (60, 12)])
def test_a_frame_fits_its_terminal(width: int, height: int, program: str) -> None:
    board = Board()
    board.update(Feed(program))

    lines = drawn(board, width=width, height=height)

    assert len(lines) <= height
    assert max(map(len, lines)) <= width
    assert lines[0].split()[:4] == ["drift-bus", program, "●", "live"]
    text = "\n".join(lines)
    for told in ("live", "SIMULATED", "M00-PERP", "150.0000", "+0.01000", "more", "Ctrl-C"):
        assert told in text


def test_real_data_is_not_labelled() -> None:
    board = Board()
    board.update(Feed())

    assert "SIMULATED" not in "".join(drawn(board, width=120, height=40, simulated=False))


def test_a_market_whose_price_ran_out_stays_on_the_screen_and_says_so() -> None:
    board, feed = Board(), Feed()
    board.update(feed)
    feed.prices[PERPS[0]] = None
    board.update(feed)

    assert len(board.live_now) == 54
    assert any("M00-PERP" in line and "no fresh price" in line for line in drawn(board, width=120, height=40))


def test_the_trend_stays_until_the_price_moves_the_other_way() -> None:
    board, feed = Board(), Feed()
    seen = []
    for value in (150_000_000, 150_000_001, 150_000_001, 149_000_000):
        feed.prices[PERPS[0]] = price(PERPS[0], oracle_price=value)
        board.update(feed)
        seen.append(board.perps[0].trend)

    assert seen == [0, 1, 1, -1]


def test_a_paused_market_and_an_invalid_oracle_are_marked() -> None:
    board, feed = Board(), Feed()
    feed.prices[PERPS[0]] = price(PERPS[0], oracle_is_valid=False)
    board.update(feed)
    lines = drawn(board, width=120, height=40)

    assert any("M00-PERP" in line and "150.0000 !" in line for line in lines)
    assert any("M01-PERP" in line and "paused" in line for line in lines)


def test_a_silent_publisher_and_a_stalled_source_are_told() -> None:
    board, feed = Board(), Feed()
    feed.heartbeat_age_s = 7.0
    board.update(feed)
    assert "no heartbeat for 7.0 s" in drawn(board, width=120, height=40)[0]

    feed.heartbeat, feed.heartbeat_age_s = status(source_state="stalled", reason="no slot for 6 s"), 0.2
    board.update(feed)
    assert "stalled: no slot for 6 s" in drawn(board, width=120, height=40)[0]


def test_before_the_first_data_the_screen_says_what_is_going_on() -> None:
    board, feed = Board(), Feed()
    feed.prices.clear()
    feed.heartbeat = None
    board.update(feed)

    text = "\n".join(drawn(board, width=80, height=24))
    assert "no heartbeat yet" in text
    assert "Waiting for first data" in text
    assert summary(board) == "no market had live data"


def test_the_summary_counts_what_was_live_at_any_time() -> None:
    board, feed = Board(), Feed()
    board.update(feed)
    feed.prices.clear()
    board.update(feed)

    assert summary(board).startswith("55 markets had live data (40 perp, 15 spot), the first after 0.0 s: M00-PERP")
