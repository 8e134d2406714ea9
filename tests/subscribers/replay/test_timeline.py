"""Ticks from messages and the journal, against a plain model of what a bucket does."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from drift_schemas import (
    KINDS,
    REASSERTION_HEADER,
    Confirmation,
    Kind,
    confirmation_of,
    encode,
    encode_confirmations,
    refreshed,
)
from drift_subscribers.history import Present, StoredMessage, Tick, TickSort, Timeline
from drift_subscribers.history.timeline import TTL_NS
from tests.support.bus_writer import sample

S = 1_000_000_000
MS = 1_000_000
T0 = 1_795_248_000 * S


def value(kind: Kind, token: str, number: int, published_at_ns: int = T0, epoch: int = 1) -> bytes:
    """An event's bytes; what a re-assertion renews is derived from ``published_at_ns``."""
    common = {
        "published_at_ns": published_at_ns, "observed_at_ns": published_at_ns - 5,
        "slot": published_at_ns // (400 * MS), "epoch": epoch, "market_index": number,
    }  # fmt: skip
    return encode(sample(kind, token, **common))


@dataclass
class Script:
    """Messages as a stream would hold them after its re-assertions have expired, and as it held them before."""

    messages: list[StoredMessage] = field(default_factory=list)
    confirmed: list[tuple[Kind, str, int, bytes]] = field(default_factory=list)
    sequence: int = 0

    def change(self, at_ns: int, kind: Kind, token: str, number: int) -> None:
        self._store(at_ns, kind, token, {}, value(kind, token, number, at_ns))

    def reassert(self, at_ns: int, kind: Kind, token: str, number: int) -> None:
        payload = value(kind, token, number, at_ns - 1000)
        self._store(at_ns, kind, token, {REASSERTION_HEADER: "1"}, payload)
        self.confirmed.append((kind, token, self.sequence, payload))

    def write_journal(self, at_ns: int) -> None:
        if self.confirmed:
            lines = [confirmation_of(*line) for line in self.confirmed]
            self.confirmed.clear()
            self._store(at_ns, None, "", {}, encode_confirmations(lines))

    def expired(self) -> list[StoredMessage]:
        """What is left when every re-assertion has outlived its TTL."""
        return [message for message in self.messages if not message.is_reassertion]

    def _store(self, at_ns: int, kind: Kind | None, token: str, headers: dict[str, str], payload: bytes) -> None:
        self.sequence += 1
        subject = f"drift.{kind}.{token}" if kind else "drift.ctl.confirmed"
        self.messages.append(StoredMessage(self.sequence, at_ns, subject, kind, token, headers, payload))


def run(messages: list[StoredMessage], until_ns: int, batch: int = 3) -> list[Tick]:
    timeline, ticks = Timeline(), []
    for at in range(0, len(messages), batch):
        ticks += timeline.feed(messages[at : at + batch])
    return [*ticks, *timeline.finish(until_ns)]


def held_by_a_bucket(messages: list[StoredMessage], moment_ns: int) -> dict[tuple[Kind, str], bytes]:
    """What a bucket that got all these messages holds at a moment."""
    held: dict[tuple[Kind, str], tuple[int, bytes]] = {}
    for message in messages:
        if message.kind is not None and message.stored_at_ns < moment_ns:
            held[message.kind, message.token] = (message.stored_at_ns, message.payload)
    return {key: payload for key, (at_ns, payload) in held.items() if at_ns + TTL_NS[key[0]] > moment_ns}


def test_a_confirmation_from_the_journal_is_the_re_assertion_byte_for_byte() -> None:
    script = Script()
    script.change(T0, "price", "SOL", 1)
    script.reassert(T0 + 3 * S, "price", "SOL", 1)
    script.write_journal(T0 + 3 * S + 200 * MS)
    script.change(T0 + 60 * S, "price", "BTC-PERP", 2)

    confirmation = run(script.expired(), T0 + 61 * S)[1]

    assert confirmation.sort is TickSort.CONFIRMATION
    assert confirmation.payload == script.messages[1].payload
    assert confirmation.sequence == script.messages[1].sequence
    assert T0 + 3 * S - 1000 <= confirmation.at_ns <= T0 + 3 * S + 200 * MS


def test_a_value_that_nobody_confirms_expires_after_its_ttl() -> None:
    script = Script()
    for kind in KINDS:
        script.change(T0, kind, "SOL", 1)

    ticks = run(script.messages, T0 + 61 * S)

    gone = {tick.kind: tick.at_ns - T0 for tick in ticks if tick.sort is TickSort.EXPIRY}
    assert gone == {"price": 10 * S, "funding": 30 * S, "market": 60 * S, "spot": 60 * S}
    assert [tick for tick in run(script.messages, T0 + 10 * S) if tick.sort is TickSort.EXPIRY] == []


def test_a_line_that_comes_late_takes_effect_where_it_stands() -> None:
    script = Script()
    script.change(T0, "price", "SOL", 1)
    script.reassert(T0 + 1 * S, "price", "SOL", 1)
    script.change(T0 + 2 * S, "price", "BTC-PERP", 2)
    script.change(T0 + 6 * S, "price", "BTC-PERP", 3)
    script.write_journal(T0 + 7 * S)

    ticks = run(script.expired(), T0 + 12 * S, batch=1)

    assert [(tick.sort, tick.at_ns - T0) for tick in ticks if tick.token == "SOL"] == [
        (TickSort.CHANGE, 0), (TickSort.CONFIRMATION, 7 * S),
    ]  # fmt: skip


def test_a_confirmation_of_what_has_changed_since_is_none() -> None:
    script = Script()
    script.change(T0, "price", "SOL", 1)
    script.reassert(T0 + 1 * S, "price", "SOL", 1)
    script.change(T0 + 2 * S, "price", "SOL", 2)
    script.change(T0 + 6 * S, "price", "BTC-PERP", 2)
    script.write_journal(T0 + 9 * S)

    assert [tick.sort for tick in run(script.expired(), T0 + 10 * S, batch=1)] == [TickSort.CHANGE] * 3


def test_a_line_that_stands_twice_counts_once() -> None:
    script = Script()
    script.change(T0, "price", "SOL", 1)
    script.reassert(T0 + 1 * S, "price", "SOL", 1)
    script.write_journal(T0 + 1 * S)
    again = script.messages[-1]._replace(sequence=9, stored_at_ns=T0 + 9 * S)

    ticks = run([*script.expired(), again], T0 + 12 * S, batch=1)

    assert [tick.sort for tick in ticks] == [TickSort.CHANGE, TickSort.CONFIRMATION, TickSort.EXPIRY]


def test_a_journal_that_cannot_be_read_is_counted() -> None:
    timeline = Timeline()

    timeline.feed([StoredMessage(1, T0, "drift.ctl.confirmed", None, "", {}, b"\xc1")])

    assert timeline.refused == 1


def test_numbers_beyond_64_bits_stay_what_they_are() -> None:
    big = encode(sample("funding", "SOL-PERP", cumulative_funding_rate_long=10**30))
    line = confirmation_of("funding", "SOL-PERP", 1, encode(sample("funding", "SOL-PERP", slot=7, epoch=3)))

    renewed = refreshed(big, line)

    assert refreshed(renewed, confirmation_of("funding", "SOL-PERP", 1, big)) == big
    assert isinstance(line, Confirmation)


_steps = st.lists(
    st.tuples(
        st.sampled_from(["change", "reassert", "journal", "wait"]),
        st.sampled_from(KINDS),
        st.sampled_from(["SOL", "BTC-PERP"]),
        st.integers(0, 3),
        st.integers(1, 1900),
    ),
    max_size=40,
)


def scripted(steps: list[tuple[str, Kind, str, int, int]]) -> Script:
    script, now_ns, written_at, last = Script(), T0, T0, {}
    for what, kind, token, number, pause_ms in steps:
        now_ns += pause_ms * MS
        if script.confirmed and now_ns - written_at > 1500 * MS:
            script.write_journal(written_at + 1500 * MS)
        if what == "change":
            script.change(now_ns, kind, token, number)
            last[kind, token] = number
        elif what == "reassert" and (kind, token) in last:
            if not script.confirmed:
                written_at = now_ns
            script.reassert(now_ns, kind, token, last[kind, token])
        elif what == "journal":
            script.write_journal(now_ns)
        else:
            now_ns += number * 4 * S
    script.write_journal(min(now_ns, written_at + 1500 * MS) if script.confirmed else now_ns)
    return script


@given(_steps, st.integers(1, 9))
def test_what_the_journal_gives_back_is_what_a_bucket_held(
    steps: list[tuple[str, Kind, str, int, int]], batch: int
) -> None:
    """At every moment that is no neighbour of a message; within those, only the publisher's clock knows the order."""
    script = scripted(steps)
    stamps = sorted({message.stored_at_ns for message in script.messages})
    moments = [earlier + (later - earlier) // 2 for earlier, later in pairwise(stamps) if later - earlier > 2000]
    for moment_ns in [*moments, *(stamp + 61 * S for stamp in stamps[-1:])]:
        wanted = held_by_a_bucket(script.messages, moment_ns)
        for messages in (script.messages, script.expired()):
            present = Present()
            present.apply(tick for tick in run(messages, moment_ns, batch) if tick.at_ns < moment_ns)
            assert {(tick.kind, tick.token): tick.payload for tick in present.at(moment_ns)} == wanted


@given(_steps, st.integers(1, 9), st.integers(1, 9))
def test_ticks_do_not_depend_on_how_they_are_read(
    steps: list[tuple[str, Kind, str, int, int]], one: int, other: int
) -> None:
    messages = scripted(steps).expired()
    until_ns = T0 + 1000 * S

    ticks = run(messages, until_ns, one)

    assert ticks == run(messages, until_ns, other)
    assert [tick.at_ns for tick in ticks] == sorted(tick.at_ns for tick in ticks)
    changes = [(tick.sequence, tick.payload) for tick in ticks if tick.sort is TickSort.CHANGE]
    assert changes == [(message.sequence, message.payload) for message in messages if message.kind]
