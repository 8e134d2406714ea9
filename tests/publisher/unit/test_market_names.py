"""Which market has a name: a pure function of what the chain says now, under which no two ever share one."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drift_publisher.market_names import MarketKey, MarketNames
from drift_publisher.selection import Selection
from drift_schemas import indexed_name, market_from_token, market_token, parse_indexed_name

LAWS = settings(max_examples=300, deadline=None)
LIVE = ("Active", "ReduceOnly", "FundingPaused", "AmmPaused", "FillPaused", "WithdrawPaused", "Unknown(9)")
STATUSES = (*LIVE, "Initialized", "Settlement", "Delisted")
NAMES = st.one_of(
    st.sampled_from(["SOL", "SOL-PERP", "SOL_p1", "SOL_p1_p1", "SOL_s1", "SOL-PERP_p0", "_p1", "SOL_p01"]),
    st.text(min_size=1, max_size=3).map(str.strip).filter(bool),  # fits a subject, however it is escaped
)
KEYS = st.builds(MarketKey, st.sampled_from(["perp", "spot"]), st.integers(0, 3))
EVENTS = st.lists(st.tuples(KEYS, st.one_of(st.none(), st.tuples(NAMES, st.sampled_from(STATUSES)))), max_size=25)

P81, P82, S3 = MarketKey("perp", 81), MarketKey("perp", 82), MarketKey("spot", 3)


def names_of(**claims: str) -> dict[str, str]:
    """Who is called what, where ``p81=Delisted`` claims SOL-PERP."""
    names = MarketNames()
    keys = {"p81": P81, "p82": P82, "s3": S3}
    for who, status in claims.items():
        names.claim(keys[who], "SOL-PERP", status)
    return {who: names[keys[who]] for who in claims}


OWN = "SOL-PERP"


@pytest.mark.parametrize("live", LIVE)
@pytest.mark.parametrize("ended", ["Settlement", "Delisted"])
def test_a_live_market_has_the_name_whatever_came_first(live: str, ended: str) -> None:
    assert names_of(p81=ended, p82=live) == {"p81": "SOL-PERP_p81", "p82": OWN}
    assert names_of(p82=live, p81=ended) == {"p81": "SOL-PERP_p81", "p82": OWN}
    assert names_of(p81=live, p82=ended) == {"p81": OWN, "p82": "SOL-PERP_p82"}


def test_a_market_that_nobody_trades_yet_does_not_take_the_name_of_one_that_is_traded() -> None:
    assert names_of(p81="Active", p82="Initialized") == {"p81": OWN, "p82": "SOL-PERP_p82"}
    assert names_of(p81="Delisted", p82="Initialized") == {"p81": "SOL-PERP_p81", "p82": OWN}


def test_of_several_that_have_ended_the_one_listed_last_has_the_name() -> None:
    assert names_of(p81="Delisted") == {"p81": OWN}
    assert names_of(p81="Delisted", p82="Delisted") == {"p81": "SOL-PERP_p81", "p82": OWN}
    assert names_of(p81="Settlement", p82="Delisted") == {"p81": OWN, "p82": "SOL-PERP_p82"}


def test_several_live_ones_are_refused_their_name_and_it_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    names = MarketNames()
    assert names.claim(P81, OWN, "Active") == ()
    assert names.claim(P82, OWN, "Active") == (P81,)
    assert (names[P81], names[P82]) == ("SOL-PERP_p81", "SOL-PERP_p82")
    for _ in range(3):
        assert names.claim(P81, OWN, "ReduceOnly") == ()
    [said] = caplog.records
    assert said.levelno == logging.ERROR
    assert "published as SOL-PERP_p81 and SOL-PERP_p82" in said.getMessage()
    assert names.clashes == {OWN: (P81, P82)}
    assert names.claim(P81, OWN, "Delisted") == (P82,)
    assert (names[P81], names[P82], names.clashes) == ("SOL-PERP_p81", OWN, {})


def test_markets_whose_name_no_subject_can_carry_are_not_told_apart() -> None:
    """They are not published at all, so none of them is refused anything that another could have."""
    names = MarketNames()
    for name in ("", "\N{SNOWMAN}" * 10):
        for key in (P81, P82):
            assert names.claim(key, name, "Active") == ()
            assert names[key] == name
        assert names.clashes == {}


def test_perp_and_spot_markets_share_names() -> None:
    """``drift.price.SOL-PERP`` is one subject."""
    assert names_of(p81="Active", s3="Active") == {"p81": "SOL-PERP_p81", "s3": "SOL-PERP_s3"}
    assert names_of(p81="Delisted", s3="Active") == {"p81": "SOL-PERP_p81", "s3": OWN}


def test_a_real_name_that_looks_like_an_index_is_not_mistaken() -> None:
    names = MarketNames()
    names.claim(P81, OWN, "Delisted")
    names.claim(P82, OWN, "Active")
    names.claim(MarketKey("perp", 5), "SOL-PERP_p81", "Active")
    assert names[P81] == "SOL-PERP_p81"
    assert names[MarketKey("perp", 5)] == "SOL-PERP_p81_p5"


@contextmanager
def silence() -> Iterator[None]:
    """Says nothing of the clashes of a few hundred examples."""
    logger = logging.getLogger("drift_publisher.market_names")
    logger.disabled = True
    try:
        yield
    finally:
        logger.disabled = False


@LAWS
@given(EVENTS)
def test_no_two_markets_have_one_name_whatever_happens(
    events: list[tuple[MarketKey, tuple[str, str] | None]],
) -> None:
    with silence():
        names, claims = MarketNames(), dict[MarketKey, tuple[str, str]]()
        for key, claim in events:
            before = {held: names[held] for held in claims}
            moved = names.drop(key) if claim is None else names.claim(key, *claim)
            if claim is None:
                claims.pop(key, None)
            else:
                claims[key] = claim
            now = {held: names[held] for held in claims}
            assert len(set(now.values())) == len(now)
            changed = {held for held in now if held != key and now[held] != before[held]}
            assert set(moved) == changed  # whoever moves is told of, and nobody else
            for held, name in now.items():
                assert name in (claims[held][0], indexed_name(claims[held][0], *held))
        anew = MarketNames()
        for key in sorted(claims):
            anew.claim(key, *claims[key])
        assert {key: anew[key] for key in claims} == {key: names[key] for key in claims}  # a restart changes no name


@LAWS
@given(st.text(max_size=32), st.sampled_from(["perp", "spot"]), st.integers(0, 65_535))
def test_an_indexed_name_fits_a_subject_and_tells_its_index(name: str, market_type: str, index: int) -> None:
    made = indexed_name(name, market_type, index)  # type: ignore[arg-type]
    token = market_token(made)
    assert 1 <= len(token) <= 64
    assert market_from_token(token) == made
    assert parse_indexed_name(made) == (market_type, index)


@pytest.mark.parametrize("name", ["SOL-PERP", "SOL_x81", "SOL_p", "SOL_p081", "SOL-p81", "SOL_p123456", ""])
def test_other_names_have_no_index(name: str) -> None:
    assert parse_indexed_name(name) is None


def test_markets_are_wanted_by_name_by_index_or_by_both() -> None:
    assert not Selection()
    assert Selection().wants(P81, "anything")
    wanted = Selection(["SOL-PERP", "perp:82", "JTO_s3"])
    assert wanted
    assert [wanted.wants(*one) for one in ((P81, "SOL-PERP"), (P82, "X"), (S3, "Y"), (P81, "X"))] == [
        True, True, True, False,
    ]  # fmt: skip
    assert wanted.missing({P81: "SOL-PERP", P82: "X", S3: "JTO"}.items()) == ""
    assert wanted.missing({P82: "X"}.items()) == "unknown market SOL-PERP, JTO_s3: the program has X"
    assert wanted.missing({}.items()) == "unknown market SOL-PERP, perp:82, JTO_s3: the program has none"


def test_a_real_name_that_looks_like_an_index_can_be_wanted() -> None:
    odd = Selection(["ODD_p7"])
    assert odd.wants(P81, "ODD_p7")
    assert odd.missing({P81: "ODD_p7"}.items()) == ""
