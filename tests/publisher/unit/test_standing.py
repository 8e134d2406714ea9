"""One subject: a change, a re-assertion or nothing, and an id that is the same wherever the same thing happens."""

from __future__ import annotations

from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drift_publisher.lanes import Message
from drift_publisher.projection import Origin
from drift_publisher.standing import Standing
from drift_publisher.term_ids import TermIds
from drift_schemas import (
    EVENT_TYPES,
    MSG_ID_HEADER,
    REASSERTION_HEADER,
    SCHEMA_HEADER,
    TTL_HEADER,
    Kind,
    MarketDataEvent,
    bucket_ttl_s,
    decode_event,
    reassert_every_s,
    schema_of,
)
from tests.support.bus_writer import price_event, sample

SLOT = 300_000_000


def standing_of(kind: Kind = "price", *, epoch: int = 1, market: str = "SOL-PERP", **more: Any) -> Standing:
    """A subject as one term of a publisher has it."""
    return Standing(kind, market, f"in.drift.{kind}.{market}", TermIds(epoch), **more)


@pytest.fixture
def standing() -> Standing:
    return standing_of()


def next_message(standing: Standing, event: MarketDataEvent, now: float, *, reassert: bool = False) -> Message | None:
    """What this event, taken apart into origin and content, calls for."""
    fields = event.model_dump()
    origin = cast(Origin, {name: fields.pop(name) for name in Origin.__annotations__})
    return standing.next_message(origin, fields, now, reassert=reassert)


def told(standing: Standing, price: int, *, now: float = 0.0, reassert: bool = False, **changed: Any) -> Message | None:
    """What a price at this moment calls for."""
    return next_message(standing, price_event(oracle_price=price, **changed), now, reassert=reassert)


def changed(standing: Standing, price: int, **more: Any) -> Message:
    """A message that must be a change."""
    message = told(standing, price, **more)
    assert message is not None
    assert REASSERTION_HEADER not in message.headers
    assert TTL_HEADER not in message.headers, "history keeps changes"
    return message


def confirmed(standing: Standing, price: int, **more: Any) -> Message:
    """A message that must be a re-assertion."""
    message = told(standing, price, reassert=True, **more)
    assert message is not None
    assert message.headers[REASSERTION_HEADER] == "1"
    assert message.is_reassertion
    return message


def content_of(price: int) -> dict[str, Any]:
    """What the stream holds after a change to this price."""
    return {k: v for k, v in price_event(oracle_price=price).model_dump().items() if k not in Origin.__annotations__}


def id_of(message: Message) -> str:
    return message.headers[MSG_ID_HEADER]


@pytest.mark.parametrize("kind", EVENT_TYPES)
def test_the_first_content_of_any_kind_is_a_change(kind: Kind) -> None:
    market = "SOL" if kind == "spot" else "SOL-PERP"
    event = sample(kind, market)
    message = next_message(standing_of(kind, market=market), event, 50.0)
    assert message is not None
    assert message.subject == f"in.drift.{kind}.{market}"
    assert message.headers[SCHEMA_HEADER] == schema_of(kind)
    assert REASSERTION_HEADER not in message.headers
    assert decode_event(kind, message.payload, message.headers) == event
    assert message.expires_at == 50.0 + bucket_ttl_s(kind)


def test_the_same_content_is_nothing_new(standing: Standing) -> None:
    changed(standing, 5)
    assert told(standing, 5) is None


@pytest.mark.parametrize(
    "meta",
    [{"slot": SLOT + 5}, {"observed_at_ns": 7}, {"published_at_ns": 7}, {"epoch": 9}],
    ids=lambda meta: next(iter(meta)),
)
def test_when_and_by_whom_it_was_seen_is_no_content(standing: Standing, meta: dict[str, Any]) -> None:
    changed(standing, 5)
    assert told(standing, 5, **meta) is None


@pytest.mark.parametrize("content", [{"oracle_is_valid": False}, {"bid_price": None}, {"mark_twap": 1}])
def test_every_other_field_is_content(standing: Standing, content: dict[str, Any]) -> None:
    changed(standing, 5)
    changed(standing, 5, **content)


def test_stored_content_is_confirmed_as_a_re_assertion_with_a_ttl(standing: Standing) -> None:
    change = changed(standing, 5)
    change.on_stored()
    message = confirmed(standing, 5)
    assert message.headers[TTL_HEADER] == str(bucket_ttl_s("price"))
    assert id_of(message) != id_of(change)


@given(clock=st.lists(st.integers(0, 2**62), min_size=2, max_size=20), epochs=st.lists(st.integers(1, 3), max_size=4))
def test_each_confirmation_has_an_id_of_its_own_whatever_the_wall_clock_does(
    clock: list[int], epochs: list[int]
) -> None:
    """It is set back, stands still, or is that of another publisher, also of one that begins with the same epoch."""
    ids = []
    for epoch in (1, *epochs):
        standing = standing_of(epoch=epoch, stored=content_of(5))
        ids += [id_of(confirmed(standing, 5, published_at_ns=now_ns)) for now_ns in clock]
    assert len(set(ids)) == len(ids)


@pytest.mark.parametrize("is_retry", [False, True])
def test_a_duplicate_confirmation_confirms_nothing(standing: Standing, is_retry: bool) -> None:
    """The stream has had that message: how long ago it does not say, so another one is due at once."""
    changed(standing, 5).on_stored()
    first = confirmed(standing, 5, now=100.0)
    assert not standing.is_due(100.1)
    first.on_duplicate(is_retry)
    assert standing.is_due(100.1)
    assert id_of(confirmed(standing, 5, now=100.1)) != id_of(first)
    assert not standing.is_due(100.2)


def test_a_change_that_the_stream_has_had_is_confirmed_at_once(standing: Standing) -> None:
    """A retry whose first answer got lost, or one that the former leader stored: when is not told, so proof follows."""
    change = changed(standing, 5, now=100.0)
    change.on_duplicate(True)
    assert standing.is_due(100.1)
    confirmed(standing, 5, now=100.1)


def test_what_the_stream_may_have_is_not_told_twice_where_nobody_could_read_it() -> None:
    standing = standing_of(stored=None, knows_stream=False)
    changed(standing, 5).on_duplicate(False)
    confirmed(standing, 5)


@pytest.mark.parametrize("held", [None, 6], ids=["purged", "another content since"])
def test_what_stands_there_no_more_is_told_again_though_its_id_was_seen(held: int | None) -> None:
    """A, B, A over a failover within one slot, slots that start over, a stream that was purged: the id is known, and
    what the stream holds is something else."""
    standing = standing_of(stored=None if held is None else content_of(held), knows_stream=True)
    first = changed(standing, 5, now=100.0)
    first.on_duplicate(False)
    assert standing.is_due(100.1)
    again = changed(standing, 5, now=100.1, reassert=True)
    assert id_of(again) != id_of(first)
    again.on_stored()
    confirmed(standing, 5)


def test_a_duplicate_of_older_content_says_nothing_about_the_newer(standing: Standing) -> None:
    old = changed(standing, 5, now=100.0)
    changed(standing, 6, now=100.1)
    old.on_duplicate(False)
    assert not standing.is_due(100.2)
    changed(standing, 6, reassert=True)


def test_a_change_that_is_not_stored_yet_is_sent_as_a_change_again(standing: Standing) -> None:
    """A re-assertion leaves the history after its TTL: the change would be lost for good."""
    changed(standing, 5)
    changed(standing, 5, reassert=True)


def test_a_change_that_is_sent_again_is_the_same_change(standing: Standing) -> None:
    """Its id stays, so that the stream keeps one of them; and once either is stored, it is."""
    first = changed(standing, 5)
    again = changed(standing, 5, reassert=True)
    again.on_stored()
    confirmed = told(standing, 5, reassert=True)
    assert confirmed is not None
    assert REASSERTION_HEADER in confirmed.headers
    assert id_of(again) == id_of(first)


def test_the_late_acknowledgement_of_older_content_stores_nothing_newer(standing: Standing) -> None:
    first = changed(standing, 5)
    changed(standing, 6)
    first.on_stored()
    changed(standing, 6, reassert=True)


def test_the_late_acknowledgement_of_the_same_content_before_does_not_count_either(standing: Standing) -> None:
    first = changed(standing, 5)
    changed(standing, 6)
    changed(standing, 5)
    first.on_stored()
    changed(standing, 5, reassert=True)


def test_the_same_state_has_the_same_id_in_every_process() -> None:
    one, other = standing_of(epoch=1), standing_of(epoch=2)
    changed(other, 4, slot=SLOT - 1)  # it has seen more
    when = {"published_at_ns": 1, "observed_at_ns": 2, "epoch": 7}
    assert id_of(changed(one, 5)) == id_of(changed(other, 5, **when))


def test_another_content_slot_market_or_origin_is_another_id() -> None:
    more: list[dict[str, Any]] = [
        {}, {"bid_price": None}, {"slot": SLOT + 1}, {"market": "BTC-PERP"}, {"market_index": 1},
        {"market_type": "spot"}, {"program": "velocity"}, {"cluster": "devnet"},
    ]  # fmt: skip
    ids = [id_of(changed(standing_of(), 5, **one)) for one in more]
    assert len(set(ids)) == len(ids)


def test_content_that_comes_back_within_one_slot_is_another_event(standing: Standing) -> None:
    """The stream drops a second message of the same id: it would go on saying what is no longer so."""
    up, down, up_again, down_again = (changed(standing, price) for price in (5, 6, 5, 6))
    assert len({id_of(message) for message in (up, down, up_again, down_again)}) == 4


def test_content_that_comes_back_in_a_later_slot_needs_no_number(standing: Standing) -> None:
    changed(standing, 5)
    changed(standing, 6)
    fresh = standing_of()
    assert id_of(changed(standing, 5, slot=SLOT + 1)) == id_of(changed(fresh, 5, slot=SLOT + 1))


def test_it_is_due_a_third_of_its_ttl_after_the_last_message(standing: Standing) -> None:
    third = reassert_every_s("price")
    change = changed(standing, 5, now=100.0)
    assert not standing.is_due(100.0 + third - 0.01)
    assert standing.is_due(100.0 + third + 0.01)
    change.on_stored()
    told(standing, 5, now=110.0, reassert=True)
    assert not standing.is_due(110.0 + third - 0.01)
    assert told(standing, 5, now=111.0) is None
    assert standing.is_due(110.0 + third + 0.01), "what is not sent confirms nothing"
