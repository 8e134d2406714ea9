"""The account store: the newest good version of each account, and a word, once, about everything odd."""

from __future__ import annotations

import logging
from collections.abc import Callable

import pytest
from _pytest.logging import LogCaptureFixture
from hypothesis import given, settings
from hypothesis import strategies as st

from drift_publisher.accounts import OraclePrice
from drift_publisher.oracles import QUOTE_ASSET_PRICE
from drift_publisher.selection import Selection
from drift_publisher.source import AccountUpdate
from drift_publisher.store import AccountStore, MarketKey, Touched

from .accounts import NOW, pubkey
from .oracle_bytes import pull
from .program_accounts import ProgramAccounts

Odd = Callable[[ProgramAccounts], AccountUpdate]
ORACLE = pubkey(7)
NOTHING = Touched()
SOL, BTC = MarketKey("perp", 0), MarketKey("perp", 1)


@pytest.fixture
def store(own: ProgramAccounts) -> AccountStore:
    """A store with SOL-PERP (0) and BTC-PERP (1), each with its oracle at slot 100."""
    store = AccountStore(own.profile)
    store.apply(own.update(own.perp_at(0), own.perp(0, "SOL-PERP")))
    store.apply(own.update(own.perp_at(1), own.perp(1, "BTC-PERP", oracle=pubkey(8))))
    store.apply(own.update(ORACLE, own.lazer(100 * 10**8, 10**5, slot=99)))
    store.apply(own.update(pubkey(8), own.lazer(60_000 * 10**8, 10**6, slot=98)))
    return store


def test_markets_are_held_by_type_and_index(store: AccountStore, own: ProgramAccounts) -> None:
    assert store.apply(own.update(own.spot_at(0), own.spot(0, "USDC"))) == Touched(
        markets=(MarketKey("spot", 0),), is_listing=True
    )
    assert store.perp_markets[0].name == "SOL-PERP"
    assert store.spot_markets[0].name == "USDC"
    assert store.market(SOL) == store.perp_markets[0]
    assert store.market(MarketKey("spot", 0)) == store.spot_markets[0]
    assert store.market(MarketKey("spot", 5)) is None
    assert store.market_names() == ("SOL-PERP", "BTC-PERP", "USDC")
    assert store.market_addresses() == (own.perp_at(0), own.perp_at(1), own.spot_at(0))
    assert [market.name for market in store.markets()] == ["SOL-PERP", "BTC-PERP", "USDC"]
    assert store.refused.total() == 0


def test_a_change_touches_its_market_and_the_same_again_touches_nothing(
    store: AccountStore, own: ProgramAccounts
) -> None:
    changed = own.perp(0, "SOL-PERP", last_funding_rate=7)
    assert store.apply(own.update(own.perp_at(0), changed, 101)) == Touched(markets=(SOL,))
    assert store.apply(own.update(own.perp_at(0), changed, 102, received_ns=55)) == NOTHING
    version = store.version(own.perp_at(0))
    assert version is not None
    assert (version.slot, version.received_ns) == (102, 55)  # but it was confirmed


def test_an_answer_that_a_notification_has_overtaken_changes_nothing(store: AccountStore, own: ProgramAccounts) -> None:
    """A read and a notification race; at the same slot the notification is at least as new."""
    newer, older = own.lazer(200 * 10**8, 10**5, slot=101), own.lazer(142 * 10**8, 10**5, slot=101)
    store.apply(own.update(ORACLE, newer, 101))
    for slot in (100, 101):
        assert store.apply(own.update(ORACLE, older, slot)._replace(was_read=True)) == NOTHING
    assert store.oracle(store.perp_markets[0]) == OraclePrice(200_000_000, 1_000, 101)
    assert store.apply(own.update(ORACLE, older, 102)._replace(was_read=True)).by_oracle == (SOL,)
    assert store.refused.total() == 0


def test_an_oracle_touches_the_markets_that_name_it(store: AccountStore, own: ProgramAccounts) -> None:
    store.apply(own.update(own.spot_at(1), own.spot(1, "SOL")))
    assert store.apply(own.update(ORACLE, own.lazer(101 * 10**8), 101)) == Touched(
        by_oracle=(SOL, MarketKey("spot", 1))
    )
    assert store.apply(own.update(ORACLE, own.lazer(101 * 10**8), 102)) == NOTHING
    assert store.oracle(store.perp_markets[0]) == OraclePrice(101_000_000, 0, 0)
    assert store.oracle(store.perp_markets[1]) == OraclePrice(60_000_000_000, 10_000, 98)


def test_the_global_account_touches_every_perp_market(store: AccountStore, own: ProgramAccounts) -> None:
    assert store.state is None
    assert store.apply(own.update(own.profile.state_address, own.state(exchange_status=32))) == Touched(
        markets=(SOL, BTC)
    )
    assert store.state is not None
    assert store.state.exchange_status == 32


# --- oracles that markets name ----------------------------------------------------------------------------------------


def test_a_market_tells_which_oracle_to_follow(own: ProgramAccounts) -> None:
    store = AccountStore(own.profile)
    assert store.apply(own.update(own.perp_at(0), own.perp(0))).new_oracles == (ORACLE,)
    assert store.apply(own.update(own.spot_at(1), own.spot(1))).new_oracles == ()  # followed already
    assert store.oracles() == (ORACLE,)


def test_another_oracle_is_told_and_the_old_one_forgotten(store: AccountStore, own: ProgramAccounts) -> None:
    moved = store.apply(own.update(own.perp_at(0), own.perp(0, oracle=pubkey(9)), 101))
    assert moved == Touched(markets=(SOL,), new_oracles=(pubkey(9),), unused_oracles=(ORACLE,))
    assert set(store.oracles()) == {pubkey(8), pubkey(9)}
    assert store.oracle(store.perp_markets[0]) is None  # not the old one's price
    assert store.apply(own.update(ORACLE, own.lazer(5), 200)) == NOTHING
    assert store.apply(own.update(pubkey(9), own.lazer(7 * 10**8), 101)) == Touched(by_oracle=(SOL,))
    assert store.oracle(store.perp_markets[0]) == OraclePrice(7_000_000, 0, 0)


def test_an_oracle_is_unused_once_its_last_market_leaves(store: AccountStore, own: ProgramAccounts) -> None:
    store.apply(own.update(own.spot_at(1), own.spot(1)))
    assert store.apply(own.update(own.perp_at(0), own.perp(0, oracle=pubkey(8)), 101)) == Touched(markets=(SOL,))
    assert store.apply(
        own.update(own.spot_at(1), own.spot(1, oracle_source="QuoteAsset", oracle=pubkey(8)), 101)
    ).unused_oracles == (ORACLE,)
    assert store.oracles() == (pubkey(8),)


def test_an_oracle_that_is_taken_up_again_is_read_anew(store: AccountStore, own: ProgramAccounts) -> None:
    """Nobody told of it meanwhile: its old price must not come back."""
    store.apply(own.update(own.perp_at(0), own.perp(0, oracle=pubkey(8)), 101))
    back = store.apply(own.update(own.perp_at(0), own.perp(0, oracle=ORACLE), 900))
    assert (back.new_oracles, back.unused_oracles) == ((ORACLE,), ())
    assert not store.oracle_was_read(store.perp_markets[0])
    assert store.oracle(store.perp_markets[0]) is None
    store.apply(own.update(ORACLE, own.lazer(7 * 10**8), 901))
    assert store.oracle(store.perp_markets[0]) == OraclePrice(7_000_000, 0, 0)


def test_a_new_way_to_read_the_same_oracle_counts_at_once(store: AccountStore, own: ProgramAccounts) -> None:
    store.apply(own.update(ORACLE, own.lazer(2_710, exponent=-9), 101))
    store.apply(own.update(own.perp_at(0), own.perp(0, oracle_source="PythLazer1M"), 101))
    assert store.oracle(store.perp_markets[0]) == OraclePrice(2_710_000, 0, 0)


def test_two_sources_on_one_account_each_get_their_own_price(own: ProgramAccounts) -> None:
    """1MBONK-PERP and BONK: driftpy leaves the second without data."""
    store = AccountStore(own.profile)
    store.apply(own.update(own.perp_at(4), own.perp(4, "1MBONK-PERP", oracle_source="PythLazer1M")))
    store.apply(own.update(own.spot_at(32), own.spot(32, "BONK", oracle_source="PythLazer")))
    touched = store.apply(own.update(ORACLE, own.lazer(145_000, 100, exponent=-10)))
    assert touched.by_oracle == (MarketKey("perp", 4), MarketKey("spot", 32))
    assert store.oracle(store.perp_markets[4]) == OraclePrice(14_500_000, 10_000, 0)
    assert store.oracle(store.spot_markets[32]) == OraclePrice(14, 0, 0)
    store.apply(own.update(ORACLE, own.lazer(146_000, 100, exponent=-10), 101))
    assert store.oracle(store.perp_markets[4]) == OraclePrice(14_600_000, 10_000, 0)


def test_the_quote_asset_needs_no_oracle_account(own: ProgramAccounts) -> None:
    store = AccountStore(own.profile)
    touched = store.apply(own.update(own.spot_at(0), own.spot(0, "USDC", oracle_source="QuoteAsset", oracle=pubkey(0))))
    assert touched.new_oracles == () == store.oracles()
    assert store.oracle(store.spot_markets[0]) == QUOTE_ASSET_PRICE
    assert store.oracle_was_read(store.spot_markets[0])


def test_an_oracle_that_disappears_and_comes_back(store: AccountStore, own: ProgramAccounts) -> None:
    market = store.perp_markets[0]
    assert store.apply(own.update(ORACLE, None, 101)) == Touched(by_oracle=(SOL,))
    assert store.oracle(market) is None
    assert list(store.stale_oracles()) == ["SOL-PERP"]
    assert store.oracle_was_read(market)
    assert store.apply(own.update(ORACLE, own.lazer(3 * 10**8), 102)) == Touched(by_oracle=(SOL,))
    assert store.oracle(market) == OraclePrice(3_000_000, 0, 0)
    assert list(store.stale_oracles()) == []


def test_an_oracle_that_was_never_read_has_no_price(own: ProgramAccounts) -> None:
    store = AccountStore(own.profile)
    store.apply(own.update(own.perp_at(0), own.perp(0)))
    assert store.oracle(store.perp_markets[0]) is None
    assert not store.oracle_was_read(store.perp_markets[0])
    store.apply(own.update(ORACLE, None))
    assert store.oracle_was_read(store.perp_markets[0])


@pytest.mark.parametrize(
    ("reason", "odd"),
    [
        ("owner", lambda own: own.update(ORACLE, own.lazer(10**8), 101, owner=pubkey(3))),
        ("discriminator", lambda own: own.update(ORACLE, b"\xff" * 48, 101)),
        ("discriminator", lambda own: own.update(ORACLE, pull(10**8), 101)),
        ("size", lambda own: own.update(ORACLE, own.lazer(10**8)[:40], 101)),
        ("exponent", lambda own: own.update(ORACLE, own.lazer(10**8, exponent=-99), 101)),
        ("range", lambda own: own.update(ORACLE, own.lazer(2**63 - 1, exponent=-1), 101)),
        ("oracle missing", lambda own: own.update(ORACLE, None, 101)),
        ("oracle missing", lambda own: own.update(ORACLE, b"", 101)),
    ],
)
def test_an_oracle_that_cannot_be_read_gives_no_price_and_one_warning(
    store: AccountStore, caplog: pytest.LogCaptureFixture, reason: str, odd: Odd, own: ProgramAccounts
) -> None:
    assert store.apply(odd(own)) == Touched(by_oracle=(SOL,))
    for _ in range(3):
        assert store.oracle(store.perp_markets[0]) is None
    assert store.refused == {reason: 1}
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert f"{ORACLE} (oracle of SOL-PERP): refused, {reason}" in caplog.text
    assert store.oracle(store.perp_markets[1]) == OraclePrice(60_000_000_000, 10_000, 98)  # the others flow


def test_an_unknown_oracle_source_gives_no_price(own: ProgramAccounts) -> None:
    store = AccountStore(own.profile)
    data = bytearray(own.perp(0))
    data[own.profile.perp_market.fields["oracle_source"].offset] = 77
    store.apply(own.update(own.perp_at(0), bytes(data)))
    store.apply(own.update(ORACLE, own.lazer(10**8)))
    assert store.perp_markets[0].oracle_source == "Unknown(77)"
    assert store.oracle(store.perp_markets[0]) is None
    assert store.refused == {"oracle source": 1}


def test_an_oracle_that_changes_hands_is_not_taken_for_unchanged(store: AccountStore, own: ProgramAccounts) -> None:
    unchanged = own.lazer(100 * 10**8, 10**5, slot=99)
    assert store.apply(own.update(ORACLE, unchanged, 101, owner=pubkey(3))) == Touched(by_oracle=(SOL,))
    assert store.oracle(store.perp_markets[0]) is None


# --- slots ------------------------------------------------------------------------------------------------------------


def test_a_slot_never_goes_backwards_for_an_account_and_never_holds_up_another(
    store: AccountStore, own: ProgramAccounts
) -> None:
    store.apply(own.update(own.perp_at(0), own.perp(0, last_funding_rate=500), 500))
    assert store.apply(own.update(own.perp_at(0), own.perp(0, last_funding_rate=499), 499)) == NOTHING
    assert store.perp_markets[0].last_funding_rate == 500
    assert store.refused == {"slot went backwards": 1}
    assert store.apply(
        own.update(own.perp_at(1), own.perp(1, "BTC-PERP", oracle=pubkey(8), last_funding_rate=1), 101)
    ) == Touched(markets=(BTC,))
    assert store.apply(own.update(ORACLE, own.lazer(10**8), 102)) == Touched(by_oracle=(SOL,))


def test_an_oracle_does_not_go_backwards_either(store: AccountStore, own: ProgramAccounts) -> None:
    store.apply(own.update(ORACLE, own.lazer(2 * 10**8), 200))
    assert store.apply(own.update(ORACLE, own.lazer(10**8), 199)) == NOTHING
    assert store.apply(own.update(ORACLE, None, 150)) == NOTHING
    assert store.oracle(store.perp_markets[0]) == OraclePrice(2_000_000, 0, 0)


def test_two_changes_in_one_slot_both_count(store: AccountStore, own: ProgramAccounts) -> None:
    for rate in (1, 2):
        assert store.apply(own.update(own.perp_at(0), own.perp(0, last_funding_rate=rate), 101)) == Touched(
            markets=(SOL,)
        )
    assert store.perp_markets[0].last_funding_rate == 2


@settings(max_examples=60, deadline=None)
@given(arrivals=st.lists(st.tuples(st.integers(0, 1), st.integers(1, 30)), max_size=40))
def test_each_account_holds_the_newest_of_its_own_slots_whatever_the_order(
    own: ProgramAccounts, arrivals: list[tuple[int, int]]
) -> None:
    store = AccountStore(own.profile)
    newest: dict[int, int] = {}
    for index, slot in arrivals:
        data = own.perp(index, f"M{index}-PERP", last_funding_rate=slot)
        store.apply(own.update(own.perp_at(index), data, slot))
        newest[index] = max(slot, newest.get(index, 0))
        assert {i: market.last_funding_rate for i, market in store.perp_markets.items()} == newest


# --- refusals ---------------------------------------------------------------------------------------------------------


def _with_unknown_discriminator(own: ProgramAccounts) -> bytes:
    return b"\xff" * 8 + own.perp(0)[8:]


REFUSALS: dict[str, tuple[str, Odd]] = {
    "another owner": (
        "owner",
        lambda own: own.update(own.perp_at(0), own.perp(0, last_funding_rate=9), 101, owner=pubkey(3)),
    ),
    "the same bytes, another owner": (
        "owner",
        lambda own: own.update(own.perp_at(0), own.perp(0), 101, owner=pubkey(3)),
    ),
    "an unknown discriminator": (
        "discriminator",
        lambda own: own.update(own.perp_at(0), _with_unknown_discriminator(own), 101),
    ),
    "the global account's bytes": ("discriminator", lambda own: own.update(own.perp_at(0), own.state(), 101)),
    "too short": ("size", lambda own: own.update(own.perp_at(0), own.perp(0)[: own.profile.perp_market.size - 1], 101)),
    "only a discriminator": ("size", lambda own: own.update(own.perp_at(0), own.perp(0)[:8], 101)),
    "empty": ("discriminator", lambda own: own.update(own.perp_at(0), b"", 101)),
    "garbage": ("discriminator", lambda own: own.update(own.perp_at(0), bytes(range(256)) * 5, 101)),
    "gone": ("missing", lambda own: own.update(own.perp_at(0), None, 101)),
    "another market's bytes": ("identity", lambda own: own.update(own.perp_at(0), own.perp(1, "BTC-PERP"), 101)),
    "another index": ("identity", lambda own: own.update(own.perp_at(0), own.perp(0, market_index=1), 101)),
    "another address within": ("identity", lambda own: own.update(own.perp_at(0), own.perp(0, pubkey=pubkey(5)), 101)),
    "a spot market's bytes": ("identity", lambda own: own.update(own.perp_at(0), own.spot(0, "USDC"), 101)),
}


@pytest.mark.parametrize("oddity", REFUSALS)
def test_what_is_not_what_was_asked_for_is_refused_counted_and_reported_once(
    store: AccountStore, caplog: pytest.LogCaptureFixture, oddity: str, own: ProgramAccounts
) -> None:
    reason, odd = REFUSALS[oddity]
    before = store.perp_markets[0]
    for count in range(1, 4):
        assert store.apply(odd(own)) == NOTHING
        assert store.refused == {reason: count}
    assert len(caplog.records) == 1
    assert f"account {own.perp_at(0)} ({own.profile.name}): refused, {reason}: " in caplog.text
    assert store.perp_markets[0] == before  # the good version stays,
    assert store.is_doubtful(own.perp_at(0))  # but must not be confirmed
    assert not store.is_doubtful(own.perp_at(1))
    assert store.apply(
        own.update(own.perp_at(1), own.perp(1, "BTC-PERP", oracle=pubkey(8), last_funding_rate=3), 101)
    ) == Touched(markets=(BTC,))


@pytest.mark.parametrize("oddity", REFUSALS)
def test_a_doubtful_account_is_trusted_again_once_a_good_version_arrives(
    store: AccountStore, oddity: str, own: ProgramAccounts
) -> None:
    store.apply(REFUSALS[oddity][1](own))
    assert store.is_doubtful(own.perp_at(0))
    assert store.apply(own.update(own.perp_at(0), own.perp(0, last_funding_rate=5), 102)) == Touched(markets=(SOL,))
    assert not store.is_doubtful(own.perp_at(0))


def test_an_unchanged_good_version_clears_the_doubt_too(store: AccountStore, own: ProgramAccounts) -> None:
    store.apply(own.update(own.perp_at(0), b"garbage", 101))
    assert store.apply(own.update(own.perp_at(0), own.perp(0), 102)) == NOTHING
    assert not store.is_doubtful(own.perp_at(0))


def test_two_oddities_of_one_account_are_two_reports(
    store: AccountStore, caplog: pytest.LogCaptureFixture, own: ProgramAccounts
) -> None:
    for _ in range(2):
        store.apply(own.update(own.perp_at(0), b"garbage", 101))
        store.apply(own.update(own.perp_at(0), None, 101))
    assert store.refused == {"discriminator": 2, "missing": 2}
    assert len(caplog.records) == 2


def test_an_account_that_nobody_asked_for_is_refused(store: AccountStore, own: ProgramAccounts) -> None:
    assert store.apply(own.update(pubkey(50), own.state(), 101)) == NOTHING
    assert store.apply(own.update(pubkey(50), own.perp(0), 101)) == NOTHING
    assert store.refused == {"discriminator": 1, "identity": 1}


def test_an_oracle_of_the_program_that_no_market_names_is_passed_over(
    store: AccountStore, own: ProgramAccounts, caplog: LogCaptureFixture
) -> None:
    """The program owns more of them than its markets name, and all come by one subscription."""
    for slot in (101, 102):
        assert store.apply(own.update(pubkey(50), own.lazer(7 * 10**8), slot)) == NOTHING
    assert (store.refused, caplog.records) == ({}, [])
    store.apply(own.update(own.perp_at(0), own.lazer(7 * 10**8), 101))
    assert store.refused == {"discriminator": 1}, "a market does not turn into one unnoticed"
    moved = store.apply(own.update(own.perp_at(1), own.perp(1, "BTC-PERP", oracle=pubkey(50)), 103))
    assert moved.new_oracles == (pubkey(50),)
    store.apply(own.update(pubkey(50), own.lazer(9 * 10**8), 103))
    assert store.oracle(store.perp_markets[1]) == OraclePrice(9_000_000, 0, 0)


@settings(max_examples=100, deadline=None)
@given(data=st.none() | st.binary(max_size=1300), whose=st.sampled_from(["perp", "spot", "oracle", "nobody", "state"]))
def test_no_bytes_make_it_raise(own: ProgramAccounts, data: bytes | None, whose: str) -> None:
    address = {
        "perp": own.perp_at(0),
        "spot": own.spot_at(0),
        "oracle": ORACLE,
        "nobody": pubkey(77),
        "state": own.profile.state_address,
    }[whose]
    store = AccountStore(own.profile)
    store.apply(own.update(own.perp_at(0), own.perp(0)))
    for prefix in (b"", own.profile.perp_market.discriminator, own.profile.spot_market.discriminator):
        store.apply(own.update(address, None if data is None else prefix + data, 101))
        for market in store.markets():
            store.oracle(market)


# --- names ------------------------------------------------------------------------------------------------------------


def test_the_live_market_has_the_name_and_the_dead_one_goes_by_its_index(own: ProgramAccounts) -> None:
    store = AccountStore(own.profile)
    store.apply(own.update(own.perp_at(81), own.perp(81, "SOL-PERP", status="Delisted")))
    assert store.market_names() == ("SOL-PERP",)  # nobody else wants it
    touched = store.apply(own.update(own.perp_at(82), own.perp(82, "SOL-PERP")))
    assert touched.markets == (MarketKey("perp", 82), MarketKey("perp", 81))  # its name on the bus is another now
    assert store.market_names() == ("SOL-PERP_p81", "SOL-PERP")
    assert store.refused.total() == 0


def test_two_live_markets_of_one_name_are_both_refused_it(own: ProgramAccounts, caplog: LogCaptureFixture) -> None:
    store = AccountStore(own.profile)
    store.apply(own.update(own.perp_at(81), own.perp(81, "SOL-PERP")))
    store.apply(own.update(own.perp_at(82), own.perp(82, "SOL-PERP")))
    assert store.market_names() == ("SOL-PERP_p81", "SOL-PERP_p82")
    assert store.refused == {"name": 2}
    assert "perp market 81 and perp market 82 are live and all named SOL-PERP" in caplog.text
    store.apply(own.update(own.spot_at(9), own.spot(9, "SOL-PERP")))  # of another type: the price subject is one
    assert store.refused == {"name": 3}
    assert store.market_names() == ("SOL-PERP_p81", "SOL-PERP_p82", "SOL-PERP_s9")
    for index in (81, 82):
        store.apply(own.update(own.perp_at(index), own.perp(index, "SOL-PERP", status="Delisted"), 101))
    assert store.market_names() == ("SOL-PERP_p81", "SOL-PERP_p82", "SOL-PERP")
    assert store.names.clashes == {}


def test_a_renamed_market_gives_its_old_name_free(store: AccountStore, own: ProgramAccounts) -> None:
    store.apply(own.update(own.perp_at(0), own.perp(0, "SOL-OLD"), 101))
    assert store.apply(own.update(own.perp_at(9), own.perp(9, "SOL-PERP"), 101)).markets == (MarketKey("perp", 9),)
    assert store.market_names() == ("SOL-OLD", "BTC-PERP", "SOL-PERP")


def test_only_the_markets_that_are_wanted_are_held(own: ProgramAccounts) -> None:
    store = AccountStore(own.profile, selection=Selection(["SOL-PERP"]))
    assert store.apply(own.update(own.perp_at(1), own.perp(1, "BTC-PERP", oracle=pubkey(8)))) == NOTHING
    taken = store.apply(own.update(own.perp_at(0), own.perp(0, "SOL-PERP")))
    assert (taken.new_oracles, taken.is_listing) == ((ORACLE,), True)
    assert store.market_names() == ("SOL-PERP",)
    assert set(store.seen.values()) == {"SOL-PERP", "BTC-PERP"}
    assert store.refused.total() == 0


def test_a_market_that_is_renamed_to_what_nobody_wants_is_let_go(own: ProgramAccounts) -> None:
    store = AccountStore(own.profile, selection=Selection(["SOL-PERP", "perp:1"]))
    store.apply(own.update(own.perp_at(0), own.perp(0, "SOL-PERP")))
    store.apply(own.update(own.perp_at(1), own.perp(1, "BTC-PERP", oracle=pubkey(8))))
    assert store.market_names() == ("SOL-PERP", "BTC-PERP")
    gone = store.apply(own.update(own.perp_at(0), own.perp(0, "SOL-OLD"), 101))
    assert gone == Touched(markets=(SOL,), unused_oracles=(ORACLE,), is_listing=True)
    store.apply(
        own.update(own.perp_at(1), own.perp(1, "BTC-OLD", oracle=pubkey(8)), 101)
    )  # by index, whatever its name
    assert store.market_names() == ("BTC-OLD",)
    assert store.market_addresses() == (own.perp_at(1),)
    back = store.apply(own.update(own.perp_at(0), own.perp(0, "SOL-PERP"), 102))
    assert (back.markets, back.is_listing) == ((SOL,), True)


def test_time_has_no_part_in_it(own: ProgramAccounts) -> None:
    """What the store holds depends on slots alone, not on when things arrived."""
    store = AccountStore(own.profile)
    store.apply(own.update(own.perp_at(0), own.perp(0), 100, received_ns=NOW * 10**9))
    assert store.apply(own.update(own.perp_at(0), own.perp(0, last_funding_rate=1), 101, received_ns=1)).markets == (
        SOL,
    )
