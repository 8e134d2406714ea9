"""Subscriptions of one socket: answers find their request by id, and no notification lands under another account."""

from __future__ import annotations

import base64
import itertools
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drift_publisher.source import Subscriptions
from drift_publisher.subscription_table import Request, SubscriptionRefused, SubscriptionTable, requests_of

SLOT = Request("slot")
PERPS = Request("program", "Program1111", b"\x0a\xdf\x0c\x2c\x6b\xf5\x37\xf7")
A, B = Request("account", "AccountA"), Request("account", "AccountB")
WANTED = requests_of(Subscriptions(programs=(("Program1111", PERPS.discriminator),), accounts=("AccountA", "AccountB")))


@pytest.fixture
def table() -> SubscriptionTable:
    return SubscriptionTable("confirmed")


def opened(table: SubscriptionTable, *requests: Request) -> list[int]:
    """Opens these; returns the ids of their messages."""
    return [json.loads(table.open(request))["id"] for request in requests]


def note(subscription: int, value: Any = None) -> dict[str, Any]:
    return {"method": "accountNotification", "params": {"subscription": subscription, "result": value}}


def test_what_is_wanted_is_asked_for_once(table: SubscriptionTable) -> None:
    assert table.missing(WANTED) == [SLOT, PERPS, A, B]
    first, _ = opened(table, SLOT, A)
    assert table.missing(WANTED) == [PERPS, B]
    table.confirm({"id": first, "result": 5})
    assert table.missing(WANTED) == [PERPS, B]


def test_the_heartbeat_is_always_wanted(table: SubscriptionTable) -> None:
    assert table.missing([]) == [SLOT]


def test_the_messages_are_json_rpc(table: SubscriptionTable) -> None:
    slot, perps, account = (json.loads(table.open(request)) for request in (SLOT, PERPS, A))
    assert slot == {"jsonrpc": "2.0", "id": 1, "method": "slotSubscribe", "params": []}
    prefix = base64.b64encode(PERPS.discriminator).decode()
    assert (perps["id"], perps["method"]) == (2, "programSubscribe")
    assert perps["params"] == [
        "Program1111",
        {
            "encoding": "base64",
            "commitment": "confirmed",
            "filters": [{"memcmp": {"offset": 0, "bytes": prefix, "encoding": "base64"}}],
        },
    ]
    assert account["params"] == ["AccountA", {"encoding": "base64", "commitment": "confirmed"}]


def test_no_filter_uses_the_size_of_an_account(table: SubscriptionTable) -> None:
    assert "dataSize" not in table.open(PERPS)


@settings(max_examples=100, deadline=None)
@given(order=st.permutations(range(5)))
def test_answers_may_come_in_any_order(order: list[int]) -> None:
    """Driftpy matches them first in, first out: a price can land under another market."""
    table = SubscriptionTable("confirmed")
    requests = [Request("account", f"Account{number}") for number in range(5)]
    ids = opened(table, *requests)
    for position in order:
        assert table.confirm({"id": ids[position], "result": 900 + position}) == []
    assert len(table) == 5
    for number, request in enumerate(requests):
        assert table.request_of(900 + number, note(900 + number)) == request


def test_all_are_confirmed_only_with_the_last_answer(table: SubscriptionTable) -> None:
    first, second = opened(table, A, B)
    table.confirm({"id": second, "result": 2})
    assert not table.all_answered.is_set()
    table.confirm({"id": first, "result": 1})
    assert table.all_answered.is_set()
    opened(table, PERPS)
    assert not table.all_answered.is_set()


def test_a_notification_that_outruns_its_confirmation_is_kept_in_order(table: SubscriptionTable) -> None:
    first, second = opened(table, A, B)
    for message in (note(7, "a1"), note(8, "b1"), note(7, "a2")):
        assert table.request_of(message["params"]["subscription"], message) is None
    assert table.confirm({"id": second, "result": 8}) == [note(8, "b1")]
    assert table.confirm({"id": first, "result": 7}) == [note(7, "a1"), note(7, "a2")]
    assert table.request_of(7, note(7, "a3")) == A


def test_kept_notifications_are_handed_out_once(table: SubscriptionTable) -> None:
    first, _ = opened(table, A, B)
    table.request_of(7, note(7))
    assert table.confirm({"id": first, "result": 7}) == [note(7)]
    assert table.confirm({"id": first, "result": 7}) == []


def test_a_notification_of_nothing_that_is_awaited_is_not_kept(table: SubscriptionTable) -> None:
    (number,) = opened(table, A)
    table.confirm({"id": number, "result": 7})
    assert table.request_of(99, note(99)) is None
    (number,) = opened(table, B)
    assert table.confirm({"id": number, "result": 99}) == []


def test_a_flood_of_early_notifications_is_bounded(table: SubscriptionTable) -> None:
    (number,) = opened(table, A)
    for count in range(5000):
        table.request_of(7, note(7, count))
    kept = table.confirm({"id": number, "result": 7})
    assert [message["params"]["result"] for message in kept] == list(range(5000 - 4096, 5000))


@pytest.mark.parametrize(
    ("error", "said"),
    [
        ({"code": -32601, "message": "Method not found"}, "JSON-RPC error -32601: Method not found"),
        ({"code": -32602, "message": "Invalid params"}, "JSON-RPC error -32602: Invalid params"),
        ({"code": 403, "message": "Forbidden"}, "JSON-RPC error 403: Forbidden"),
    ],
)
def test_a_refusal_for_good_is_raised_in_one_line(table: SubscriptionTable, error: dict[str, Any], said: str) -> None:
    (number,) = opened(table, PERPS)
    with pytest.raises(SubscriptionRefused, match=f"^programSubscribe refused: {said}$"):
        table.confirm({"jsonrpc": "2.0", "id": number, "error": error})
    assert len(table) == 0


@pytest.mark.parametrize(
    "answer",
    [
        {"error": {"code": -32005, "message": "Too many subscriptions"}},
        {"error": {"code": -32429, "message": "rate"}},
        {"error": {"code": -32600, "message": "max subscriptions exceeded"}},
        {"error": "no more"},
        {"error": None},
        {},
    ],
    ids=repr,
)
def test_a_refusal_that_may_pass_costs_no_other_subscription(table: SubscriptionTable, answer: dict[str, Any]) -> None:
    first, second = opened(table, A, B)
    assert table.confirm({"jsonrpc": "2.0", "id": second, **answer}) == []
    assert not table.all_answered.is_set()
    table.confirm({"id": first, "result": 7})
    assert table.all_answered.is_set()
    assert [refused.request for refused in table.take_refused()] == [B]
    assert table.take_refused() == [], "each is told once"
    assert (len(table), table.missing([A, B])) == (1, [SLOT, B])


@pytest.mark.parametrize(
    "answer", [{"id": 77, "result": 1}, {"result": 1}, {"id": None, "result": 1}, {"id": 77, "error": {}}]
)
def test_an_answer_to_no_question_of_ours_is_ignored(table: SubscriptionTable, answer: dict[str, Any]) -> None:
    opened(table, A)
    assert table.confirm(answer) == []
    assert len(table) == 0
    assert not table.all_answered.is_set()


def test_ids_only_grow(table: SubscriptionTable) -> None:
    ids = opened(table, SLOT, PERPS, A, B)
    assert all(later > earlier for earlier, later in itertools.pairwise(ids))


# --- what is no longer wanted -----------------------------------------------------------------------------------------


def confirmed(table: SubscriptionTable, *requests: Request) -> dict[Request, int]:
    """Opens and confirms these; returns the numbers of their subscriptions."""
    numbers = {request: 700 + count for count, request in enumerate(requests)}
    for request, number in zip(requests, opened(table, *requests), strict=True):
        table.confirm({"id": number, "result": numbers[request]})
    return numbers


def test_an_account_that_nobody_wants_any_more_is_unsubscribed(table: SubscriptionTable) -> None:
    numbers = confirmed(table, SLOT, PERPS, A, B)
    assert table.superfluous(WANTED) == []
    without_a = [PERPS, B]
    assert table.superfluous(without_a) == [numbers[A]]
    message = json.loads(table.close(numbers[A]))
    assert (message["method"], message["params"]) == ("accountUnsubscribe", [numbers[A]])
    assert table.superfluous(without_a) == []
    assert len(table) == 3
    assert table.request_of(numbers[A], note(numbers[A])) is None, "what is still on its way is for nobody"
    assert table.confirm({"id": message["id"], "result": True}) == []
    assert table.confirm({"id": message["id"], "error": {"code": -32602}}) == []


def test_programs_and_everything_but_the_heartbeat_can_go(table: SubscriptionTable) -> None:
    numbers = confirmed(table, SLOT, PERPS, A)
    assert table.superfluous([]) == [numbers[PERPS], numbers[A]]
    assert json.loads(table.close(numbers[PERPS]))["method"] == "programUnsubscribe"


def test_an_account_that_is_wanted_again_is_asked_for_again(table: SubscriptionTable) -> None:
    numbers = confirmed(table, SLOT, PERPS, A, B)
    table.close(numbers[A])
    assert table.missing(WANTED) == [A]


def test_to_end_a_subscription_leaves_nothing_to_wait_for(table: SubscriptionTable) -> None:
    numbers = confirmed(table, SLOT, A)
    table.close(numbers[A])
    assert table.all_answered.is_set()


@pytest.mark.parametrize("result", [None, "7", [7], {"id": 7}, 1.5], ids=repr)
def test_a_confirmation_without_a_number_is_a_refusal(table: SubscriptionTable, result: Any) -> None:
    (number,) = opened(table, A)
    with pytest.raises(SubscriptionRefused, match="accountSubscribe answered with no number"):
        table.confirm({"id": number, "result": result})
    assert len(table) == 0


@pytest.mark.parametrize("strange", [[], {}, "1", 1.0, None], ids=repr)
def test_an_answer_with_a_strange_id_is_ignored(table: SubscriptionTable, strange: Any) -> None:
    opened(table, A)
    assert table.confirm({"id": strange, "result": 5}) == []
    assert len(table) == 0
