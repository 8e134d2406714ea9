"""One subject: a change, a re-assertion or nothing, and an id that is the same wherever the same thing happens."""

from __future__ import annotations

from typing import Any, cast

import pytest

from drift_publisher.lanes import Message
from drift_publisher.projection import Origin
from drift_publisher.standing import Standing
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


@pytest.fixture
def standing() -> Standing:
    return Standing("price", "SOL-PERP", "in.drift.price.SOL-PERP")


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


def id_of(message: Message) -> str:
    return message.headers[MSG_ID_HEADER]


@pytest.mark.parametrize("kind", EVENT_TYPES)
def test_the_first_content_of_any_kind_is_a_change(kind: Kind) -> None:
    market = "SOL" if kind == "spot" else "SOL-PERP"
    event = sample(kind, market)
    message = next_message(Standing(kind, market, f"in.drift.{kind}.{market}"), event, 50.0)
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
    message = told(standing, 5, reassert=True, published_at_ns=1_700_000_003 * 10**9)
    assert message is not None
    assert message.headers[REASSERTION_HEADER] == "1"
    assert message.headers[TTL_HEADER] == str(bucket_ttl_s("price"))
    assert id_of(message) == f"{id_of(change)}.r1700000003"


def test_each_confirmation_has_an_id_of_its_own(standing: Standing) -> None:
    changed(standing, 5).on_stored()
    ids = set()
    for second in range(5):
        message = told(standing, 5, reassert=True, published_at_ns=second * 10**9)
        assert message is not None
        ids.add(id_of(message))
    assert len(ids) == 5


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
    one, other = (Standing("price", "SOL-PERP", f"in.{prefix}.price.SOL-PERP") for prefix in ("drift", "devnet"))
    changed(other, 4, slot=SLOT - 1)  # it has seen more
    when = {"published_at_ns": 1, "observed_at_ns": 2, "epoch": 7}
    assert id_of(changed(one, 5)) == id_of(changed(other, 5, **when))


def test_another_content_slot_market_or_origin_is_another_id() -> None:
    more: list[dict[str, Any]] = [
        {}, {"bid_price": None}, {"slot": SLOT + 1}, {"market": "BTC-PERP"}, {"market_index": 1},
        {"market_type": "spot"}, {"program": "velocity"}, {"cluster": "devnet"},
    ]  # fmt: skip
    ids = [id_of(changed(Standing("price", "SOL-PERP", "in.drift.price.SOL-PERP"), 5, **one)) for one in more]
    assert len(set(ids)) == len(ids)


def test_content_that_comes_back_within_one_slot_is_another_event(standing: Standing) -> None:
    """The stream drops a second message of the same id: it would go on saying what is no longer so."""
    up, down, up_again, down_again = (changed(standing, price) for price in (5, 6, 5, 6))
    assert len({id_of(message) for message in (up, down, up_again, down_again)}) == 4


def test_content_that_comes_back_in_a_later_slot_needs_no_number(standing: Standing) -> None:
    changed(standing, 5)
    changed(standing, 6)
    fresh = Standing("price", "SOL-PERP", "in.drift.price.SOL-PERP")
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
