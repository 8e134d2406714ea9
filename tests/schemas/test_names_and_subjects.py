"""Names on the wire: reversible, and never a character that a subject would misread."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drift_schemas import (
    KINDS,
    InvalidMarketName,
    InvalidPrefix,
    Kind,
    Subjects,
    market_from_token,
    market_token,
)

NAMES = st.text(min_size=1, max_size=24)


@given(NAMES)
def test_a_name_goes_on_the_wire_and_back_or_is_refused(name: str) -> None:
    try:
        token = market_token(name)
    except InvalidMarketName as refused:
        assert refused.name == name.rstrip()
        return
    assert re.fullmatch(r"[A-Za-z0-9_-]{1,64}", token)
    assert market_from_token(token) == name.rstrip()


@given(NAMES, NAMES)
def test_two_names_never_share_a_token(one: str, other: str) -> None:
    try:
        same = market_token(one) == market_token(other)
    except InvalidMarketName:
        return
    assert same == (one.rstrip() == other.rstrip())


@given(st.text(max_size=70))
def test_a_token_is_read_back_only_if_it_is_one(token: str) -> None:
    try:
        name = market_from_token(token)
    except InvalidMarketName:
        return
    assert market_token(name) == token


@given(NAMES, st.sampled_from(KINDS))
def test_a_subject_says_its_kind_and_market(name: str, kind: Kind) -> None:
    subjects = Subjects()
    try:
        subject = subjects.public(kind, name)
    except InvalidMarketName:
        return
    assert subject.count(".") == 2
    assert not re.search(r"[\s*>]", subject)
    parsed = subjects.parse(subject)
    assert parsed is not None
    assert (parsed[0], market_from_token(parsed[1])) == (kind, name.rstrip())
    assert subjects.ingress(kind, name) == f"in.{subject}"


@pytest.mark.parametrize(
    ("name", "token"),
    [
        ("SOL-PERP", "SOL-PERP"),
        ("SOL-PERP        ", "SOL-PERP"),
        ("1MBONK-PERP", "1MBONK-PERP"),
        ("a.b", "a_x2Eb"),
        ("a b", "a_x20b"),
        ("*", "_x2A"),
        (">", "_x3E"),
        ("_x2A", "_x5Fx2A"),
        ("JitoSOL_3", "JitoSOL_3"),
    ],
)
def test_tokens_by_hand(name: str, token: str) -> None:
    assert market_token(name) == token


@pytest.mark.parametrize("name", ["", "   ", "x" * 65, "é" * 20, "\x00", "\ud800"])
def test_names_that_cannot_go(name: str) -> None:
    if name == "\x00":
        assert market_token(name) == "_x00"
        return
    with pytest.raises(InvalidMarketName):
        market_token(name)


@pytest.mark.parametrize(
    "subject",
    ["", "drift", "drift.price", "drift.price.", "drift.price.A.B", "drift.trade.A", "x.price.A", "drift.status"],
)
def test_other_subjects_are_none_of_ours(subject: str) -> None:
    assert Subjects().parse(subject) is None


def test_a_prefix_keeps_busses_apart() -> None:
    subjects = Subjects("devnet.drift")
    assert subjects.public("price", "SOL") == "devnet.drift.price.SOL"
    assert subjects.parse("devnet.drift.price.SOL") == ("price", "SOL")
    assert subjects.parse("drift.price.SOL") is None
    assert subjects.status == "devnet.drift.status"
    assert subjects.everything == "devnet.drift.>"
    assert subjects.epoch == "devnet.drift.ctl.epoch"


@pytest.mark.parametrize("prefix", ["", ".", "a.", ".a", "a b", "a.*", ">", "é", "x" * 33])
def test_a_prefix_that_a_subject_cannot_carry_is_refused(prefix: str) -> None:
    with pytest.raises(InvalidPrefix):
        Subjects(prefix)
