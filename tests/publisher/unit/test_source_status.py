"""What a source says about itself: alive only while new slots prove it."""

from __future__ import annotations

import pytest

from drift_publisher.redact import learn_secrets
from drift_publisher.source import SourceState, SourceStatus
from tests.publisher.unit.virtual_time import VirtualTime


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> VirtualTime:
    virtual = VirtualTime()
    monkeypatch.setattr("drift_publisher.source.time.monotonic", virtual)
    return virtual


def test_before_the_first_slot_nothing_is_alive(time: VirtualTime) -> None:
    status = SourceStatus(state="live")
    assert status.silent_for_s() == float("inf")
    assert not status.is_alive
    assert status.slot_at_ns is None


def test_only_a_higher_slot_is_new(time: VirtualTime) -> None:
    status = SourceStatus()
    assert status.note_slot(10)
    assert not status.note_slot(10)
    assert not status.note_slot(9)
    assert status.slot == 10
    time.now += 2
    assert status.silent_for_s() == 2
    assert not status.note_slot(10)
    assert status.silent_for_s() == 2, "an old slot proves nothing"


@pytest.mark.parametrize(
    ("state", "alive"),
    [("live", True), ("polling", True), ("connecting", False), ("stalled", False), ("stopped", False)],
)
def test_alive_is_a_working_source_with_a_fresh_slot(time: VirtualTime, state: SourceState, alive: bool) -> None:
    status = SourceStatus(silence_s=5, state=state)
    status.note_slot(10)
    time.now += 5
    assert status.is_alive == alive
    time.now += 0.1
    assert not status.is_alive


def test_what_was_never_there_connects_and_what_was_there_stalls(time: VirtualTime) -> None:
    status = SourceStatus()
    status.lost("refused")
    assert (status.state, status.reason) == ("connecting", "refused")
    status.note_slot(10)
    status.lost("closed")
    assert (status.state, status.reason) == ("stalled", "closed")


def test_a_reason_holds_no_key() -> None:
    learn_secrets("https://rpc.example.com/?api-key=VERYSECRETKEY")
    status = SourceStatus()
    status.lost("wss://rpc.example.com/?api-key=VERYSECRETKEY: no such key VERYSECRETKEY")
    assert "VERYSECRETKEY" not in status.reason
