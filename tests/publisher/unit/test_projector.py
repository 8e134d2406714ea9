"""From an update to messages: what changed goes out, once, under the market's name; what did not is confirmed."""

from __future__ import annotations

from typing import Any, cast

import pytest

from drift_publisher.bus import Bus
from drift_publisher.lanes import Message
from drift_publisher.projection import Origin
from drift_publisher.projector import Projector
from drift_publisher.standing import Stored
from drift_publisher.store import AccountStore, MarketKey, Touched
from drift_schemas import KINDS, REASSERTION_HEADER, MarketDataEvent, PriceEvent, Topology, decode_event

from .accounts import NOW, pubkey
from .program_accounts import ProgramAccounts

ORACLE, SPOT_ORACLE = pubkey(7), pubkey(9)
SOL_PERP, SOL = MarketKey("perp", 0), MarketKey("spot", 1)
SECOND = 10**9
_ORIGIN = frozenset(Origin.__annotations__)


class _Outbox:
    """Stands where the bus stands: the messages that were submitted since the last look."""

    def __init__(self) -> None:
        self._messages: list[Message] = []

    def submit(self, message: Message) -> None:
        self._messages.append(message)

    def take(self) -> list[Message]:
        messages, self._messages = self._messages, []
        return messages


class _Scene:
    """A perp and a spot market, each with its oracle, and a projector that has published them."""

    def __init__(self, own: ProgramAccounts) -> None:
        self.accounts = own
        self.store = AccountStore(own.profile)
        self.outbox = _Outbox()
        self.monotonic = 0.0
        self.unheard: set[str] = set()
        self.history = ""
        self.projector = Projector(
            self.store, cast(Bus, self.outbox), Topology(), cluster="simulated", epoch=3, chain_slot=lambda: 100,
            is_confirmed=lambda address: address not in self.unheard, history=lambda: self.history,
            clock=lambda: self.monotonic, wall_ns=lambda: 7 * SECOND,
        )  # fmt: skip
        self.apply(own.profile.perp_market_address(0), own.perp(0))
        self.apply(own.profile.spot_market_address(1), own.spot(1, oracle=SPOT_ORACLE))
        self.apply(own.profile.state_address, own.state())
        for oracle in (ORACLE, SPOT_ORACLE):
            self.apply(oracle, own.lazer(100 * 10**8, 10**5, slot=99))
        self.projector.publish_all()
        self.first = self.outbox.take()

    def apply(self, address: str, data: bytes, *, slot: int = 100, received_ns: int = NOW * SECOND) -> Touched:
        return self.store.apply(self.accounts.update(address, data, slot, received_ns=received_ns))

    def tell(self, address: str, data: bytes, **more: Any) -> list[Message]:
        """What an update makes."""
        self.projector.publish(self.apply(address, data, **more))
        return self.outbox.take()


@pytest.fixture
def scene(own: ProgramAccounts) -> _Scene:
    return _Scene(own)


def kinds(messages: list[Message]) -> list[str]:
    return [message.subject.split(".")[2] for message in messages]


def event(message: Message) -> MarketDataEvent:
    return decode_event(cast(Any, message.subject.split(".")[2]), message.payload, message.headers)


def test_every_kind_of_every_market_is_published_first(scene: _Scene, own: ProgramAccounts) -> None:
    assert {message.subject for message in scene.first} == {
        "in.drift.price.SOL-PERP", "in.drift.funding.SOL-PERP", "in.drift.market.SOL-PERP",
        "in.drift.price.SOL", "in.drift.spot.SOL",
    }  # fmt: skip
    perp_price = event(scene.first[0])
    assert (perp_price.program, perp_price.cluster, perp_price.epoch) == (own.profile.name, "simulated", 3)
    assert (perp_price.market, perp_price.market_type, perp_price.market_index) == ("SOL-PERP", "perp", 0)


def test_an_oracle_that_changes_moves_the_price_of_its_market_alone(scene: _Scene, own: ProgramAccounts) -> None:
    messages = scene.tell(ORACLE, own.lazer(101 * 10**8, 10**5, slot=101), slot=102, received_ns=(NOW + 1) * SECOND)
    assert [message.subject for message in messages] == ["in.drift.price.SOL-PERP"]
    price = event(messages[0])
    assert isinstance(price, PriceEvent)
    assert price.oracle_price == 101_000_000
    assert (price.slot, price.observed_at_ns, price.published_at_ns) == (102, (NOW + 1) * SECOND, 7 * SECOND)


def test_the_formulas_now_is_the_whole_second_in_which_the_notification_arrived(
    scene: _Scene, own: ProgramAccounts
) -> None:
    moved = own.lazer(101 * 10**8, 10**5, slot=101)
    later = NOW + 40
    messages = scene.tell(ORACLE, moved, slot=102, received_ns=later * SECOND + 999_999_999)
    market = scene.store.perp_markets[0]
    price = event(messages[0])
    assert isinstance(price, PriceEvent)
    assert (price.bid_price, price.ask_price) == own.profile.rules.quote(market, scene.store.oracle(market), later)


def test_a_market_that_changes_tells_of_the_kinds_that_changed_only(scene: _Scene, own: ProgramAccounts) -> None:
    address = own.profile.perp_market_address(0)
    assert kinds(scene.tell(address, own.perp(0, number_of_users=9))) == ["market"]
    assert kinds(scene.tell(address, own.perp(0, number_of_users=9, last_funding_rate=1))) == ["funding"]
    assert kinds(scene.tell(own.profile.spot_market_address(1), own.spot(1, oracle=SPOT_ORACLE, decimals=8))) == [
        "spot"
    ]


def test_each_of_several_changes_is_an_event_of_its_own(scene: _Scene, own: ProgramAccounts) -> None:
    prices = []
    for price in (101, 102, 101):
        prices += scene.tell(ORACLE, own.lazer(price * 10**8, 10**5, slot=101), slot=102)
    assert [cast(PriceEvent, event(message)).oracle_price for message in prices] == [
        101_000_000, 102_000_000, 101_000_000,
    ]  # fmt: skip
    assert len({str(message.headers) for message in prices}) == 3


def test_what_does_not_change_is_confirmed_once_it_is_due(scene: _Scene) -> None:
    for message in scene.first:
        message.on_stored()
    scene.projector.reassert_due()
    assert scene.outbox.take() == []
    scene.monotonic = 3.4
    scene.projector.reassert_due()
    confirmed = scene.outbox.take()
    assert kinds(confirmed) == ["price", "price"]
    assert all(REASSERTION_HEADER in message.headers for message in confirmed)


@pytest.mark.parametrize(
    ("behind", "kinds_left"),
    [("oracle", {"market", "spot"}), ("state", {"market", "spot"}), ("market", {"spot"}), ("nothing", set(KINDS))],
)
def test_what_rests_on_an_account_that_nobody_told_of_is_not_confirmed(
    scene: _Scene, own: ProgramAccounts, behind: str, kinds_left: set[str]
) -> None:
    """The spot market has an oracle of its own, and shares the State."""
    address = {"oracle": ORACLE, "state": own.profile.state_address, "market": own.profile.perp_market_address(0)}
    scene.unheard = {address.get(behind, "")}
    for message in scene.first:
        message.on_stored()
    scene.monotonic = 60.0
    scene.projector.reassert_due()
    confirmed = scene.outbox.take()
    of_the_perp = {message.subject.split(".")[2] for message in confirmed if message.subject.endswith("SOL-PERP")}
    assert of_the_perp == kinds_left & {"price", "funding", "market"}
    of_the_spot = {message.subject.split(".")[2] for message in confirmed if message.subject.endswith("SOL")}
    assert of_the_spot == ({"spot"} if behind == "state" else {"price", "spot"})


def test_a_change_waits_for_the_accounts_that_it_rests_on_too(scene: _Scene, own: ProgramAccounts) -> None:
    scene.unheard = {ORACLE}
    changed = own.perp(0, number_of_users=9, last_funding_rate=1)
    assert kinds(scene.tell(own.profile.perp_market_address(0), changed)) == ["market"]
    scene.unheard = set()
    scene.projector.reassert_due()
    assert kinds(scene.outbox.take()) == ["funding"], "at once, not when it is due"


def test_what_was_held_back_from_the_beginning_is_published_once_it_is_told_of(own: ProgramAccounts) -> None:
    scene = _Scene(own)
    fresh = Projector(
        scene.store, cast(Bus, scene.outbox), Topology(), cluster="simulated", epoch=4, chain_slot=lambda: 100,
        is_confirmed=lambda address: address not in scene.unheard,
    )  # fmt: skip
    scene.unheard = {own.profile.perp_market_address(0), own.profile.state_address}
    fresh.publish_all()
    assert kinds(scene.outbox.take()) == ["spot"]
    fresh.reassert_due()
    assert scene.outbox.take() == []
    scene.unheard = set()
    fresh.reassert_due()
    assert sorted(kinds(scene.outbox.take())) == ["funding", "market", "price", "price"]


def test_the_same_content_at_the_same_slot_of_another_history_is_another_event(
    scene: _Scene, own: ProgramAccounts
) -> None:
    first = scene.tell(ORACLE, own.lazer(101 * 10**8, 10**5, slot=101), slot=102)
    scene.store.begin_history()
    scene.history = "1750000000"
    scene.tell(ORACLE, own.lazer(102 * 10**8, 10**5, slot=101), slot=102)
    again = scene.tell(ORACLE, own.lazer(101 * 10**8, 10**5, slot=101), slot=102)
    ids = [message.headers["Nats-Msg-Id"] for message in (first[0], again[0])]
    assert first[0].payload[-10:] == again[0].payload[-10:]
    assert ids[0] != ids[1]
    assert "102@1750000000" in ids[1]


def test_a_market_that_is_renamed_goes_on_under_its_new_name(scene: _Scene, own: ProgramAccounts) -> None:
    messages = scene.tell(own.profile.perp_market_address(0), own.perp(0, "WSOL-PERP"))
    assert [message.subject for message in messages] == [
        f"in.drift.{kind}.WSOL-PERP" for kind in ("price", "funding", "market")
    ]
    assert {event(message).market for message in messages} == {"WSOL-PERP"}


def test_a_dead_market_gives_its_name_to_the_live_one_and_goes_on_under_its_index(
    scene: _Scene, own: ProgramAccounts
) -> None:
    scene.monotonic = 3.4
    scene.projector.reassert_due()
    waiting = [message for message in scene.outbox.take() if message.subject.endswith("SOL-PERP")]
    assert waiting
    delisted = own.perp_at(0), own.perp(0, status="Delisted")
    changed = scene.tell(*delisted)
    assert not any(message.is_withdrawn() for message in (*waiting, *changed))

    messages = scene.tell(own.perp_at(82), own.perp(82, "SOL-PERP"))
    assert [(event(message).market, event(message).market_index) for message in messages] == [
        *[("SOL-PERP", 82)] * 3,
        *[("SOL-PERP_p0", 0)] * 3,
    ]
    assert all(message.is_withdrawn() for message in (*waiting, *changed))  # none of them may follow any more
    assert not any(REASSERTION_HEADER in message.headers for message in messages)
    assert {message.subject for message in messages if event(message).market_index == 82} == {
        f"in.drift.{kind}.SOL-PERP" for kind in ("price", "funding", "market")
    }


def test_two_live_markets_leave_the_name_to_nobody(scene: _Scene, own: ProgramAccounts) -> None:
    messages = scene.tell(own.perp_at(82), own.perp(82, "SOL-PERP"))
    assert {event(message).market for message in messages} == {"SOL-PERP_p0", "SOL-PERP_p82"}
    assert all(message.is_withdrawn() for message in scene.first if message.subject.endswith("SOL-PERP"))
    scene.monotonic = 100.0
    scene.projector.reassert_due()
    assert not any(message.subject.endswith("SOL-PERP") for message in scene.outbox.take())  # the keys run out


def test_what_a_former_leader_stored_of_another_market_under_the_name_confirms_nothing(own: ProgramAccounts) -> None:
    scene = _Scene(own)
    content = {name: value for name, value in event(scene.first[2]).model_dump().items() if name not in _ORIGIN}
    subject = scene.first[2].subject
    for holder, confirms in ((MarketKey("perp", 0), True), (MarketKey("perp", 81), False)):
        projector = Projector(
            scene.store, cast(Bus, scene.outbox), Topology(), cluster="simulated", epoch=4,
            stored={subject: Stored(holder, content)}, chain_slot=lambda: 100, clock=lambda: 0.0,
        )  # fmt: skip
        projector.publish_all()
        told = {message.subject for message in scene.outbox.take()}
        assert (subject not in told) == confirms


def test_a_market_without_a_name_is_refused_once_and_the_others_go_on(scene: _Scene, own: ProgramAccounts) -> None:
    nameless = own.profile.perp_market_address(1)
    for rate in (1, 2):
        assert scene.tell(nameless, own.perp(1, "", oracle=ORACLE, last_funding_rate=rate)) == []
    assert scene.store.refused["market name"] == 1
    assert scene.tell(own.profile.perp_market_address(0), own.perp(0, number_of_users=9))
