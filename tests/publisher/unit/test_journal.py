"""The journal of confirmations: what was acknowledged, once, in order, however long the bus takes."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import pytest

from drift_publisher import PublisherSettings, SettingsError
from drift_publisher.bus import Bus
from drift_publisher.journal import Journal
from drift_publisher.lanes import Message
from drift_schemas import MSG_ID_HEADER, Confirmation, Topology, decode_confirmations, encode, market_token
from tests.support.bus_writer import price_event


class Desk:
    """Stands where the bus is: keeps what is submitted until a test stores it."""

    def __init__(self) -> None:
        self.now = 0.0
        self.submitted: list[Message] = []
        self.on_reassertion: Callable[[Message, int], None] | None = None
        self.journal = Journal(cast(Bus, self), Topology(), clock=lambda: self.now)

    def submit(self, message: Message) -> None:
        self.submitted.append(message)

    def confirm(self, sequence: int, market: str = "SOL-PERP", epoch: int = 1) -> None:
        """An acknowledgement of a re-assertion comes in."""
        payload = encode(price_event(market, 7, slot=sequence, epoch=epoch))
        message = Message(f"in.drift.price.{market_token(market)}", payload, {}, 0.0, lambda: None)
        assert self.on_reassertion is not None
        self.on_reassertion(message, sequence)

    def lines(self) -> list[Confirmation]:
        """What the last message says."""
        return decode_confirmations(self.submitted[-1].payload)


@pytest.fixture
def desk() -> Desk:
    return Desk()


def test_nothing_confirmed_nothing_written(desk: Desk) -> None:
    desk.journal.write()

    assert desk.submitted == []


def test_what_was_acknowledged_since_the_last_look_is_one_message(desk: Desk) -> None:
    for sequence in (5, 6, 9):
        desk.confirm(sequence)
    desk.journal.write()

    assert [(line.kind, line.token, line.sequence, line.slot) for line in desk.lines()] == [
        ("price", "SOL-PERP", 5, 5), ("price", "SOL-PERP", 6, 6), ("price", "SOL-PERP", 9, 9),
    ]  # fmt: skip
    assert desk.submitted[0].subject == "in.drift.ctl.confirmed"
    assert desk.submitted[0].headers[MSG_ID_HEADER] == "confirmed.1.5"


def test_one_message_at_a_time(desk: Desk) -> None:
    desk.confirm(1)
    desk.journal.write()
    desk.confirm(2)
    desk.journal.write()
    assert len(desk.submitted) == 1

    desk.submitted[0].on_stored()
    desk.journal.write()

    assert [line.sequence for line in desk.lines()] == [2]


def test_what_the_bus_gave_up_is_submitted_again_under_its_id(desk: Desk) -> None:
    desk.confirm(1)
    desk.journal.write()
    first = desk.submitted[0]
    desk.now = first.expires_at + 1

    desk.journal.write()

    again = desk.submitted[1]
    assert (again.headers, again.payload) == (first.headers, first.payload)
    assert again.expires_at > desk.now
    again.on_stored()
    desk.journal.write()
    assert len(desk.submitted) == 2


def test_epochs_are_kept_apart_and_messages_bounded(desk: Desk) -> None:
    for sequence in range(1, 1502):
        desk.confirm(sequence, epoch=1 if sequence < 1500 else 2)
    written = []
    for _ in range(3):
        desk.journal.write()
        written.append([(line.epoch, line.sequence) for line in desk.lines()])
        desk.submitted[-1].on_stored()

    assert [len(lines) for lines in written] == [1000, 499, 2]
    assert [line for lines in written for line in lines] == [
        (1 if sequence < 1500 else 2, sequence) for sequence in range(1, 1502)
    ]
    assert max(len(message.payload) for message in desk.submitted) < 64 * 1024


def test_a_replays_prefix_is_not_for_a_live_bus() -> None:
    with pytest.raises(SettingsError, match="replay"):
        PublisherSettings(_env_file=None, rpc_url="http://localhost", subject_prefix="replay.x")
