"""Funding under any period: what the simulated program settles, and what the events of its accounts say of it."""

from __future__ import annotations

import pytest

from drift_publisher.accounts import OraclePrice
from drift_publisher.profiles import PROFILES
from drift_publisher.projection import Content, funding_content, quote
from drift_schemas import FundingEvent, decode_event, encode_fields, expected_funding_usd
from drift_simulator import Cluster, PerpMarket, SimulatorConfig

from .events import ORIGIN

HOUR = 3600
START = 1_700_000_123.0


class Simulated:
    """A cluster of one program whose clock stands until it is moved, and the publisher's view of its SOL-PERP."""

    def __init__(self, program: str, period_s: int) -> None:
        self.now = START
        config = SimulatorConfig(program=program, clock=lambda: self.now, funding_period_s=period_s, perp_markets=2)
        self.cluster = Cluster(config)
        self.profile = PROFILES[program]

    @property
    def market(self) -> PerpMarket:
        return self.cluster.perp("SOL-PERP")

    def event(self) -> FundingEvent:
        """What the publisher says about the market's account now."""
        market = self.profile.perp_market.read(bytes(self.market.record))
        rules, now = self.profile.rules, int(self.now)
        read = self.cluster.oracles[self.market.oracle].read(self.market.oracle_source, self.cluster.slot)
        oracle = OraclePrice(read.price, read.confidence, self.cluster.slot)
        content: Content = funding_content(market, oracle, quote(market, oracle, rules, now), None, rules, now)
        event = decode_event("funding", encode_fields({**ORIGIN, "program": self.profile.name, **content}))
        assert isinstance(event, FundingEvent)
        return event

    def settle_at(self, moment: float) -> int:
        """Moves the clock and lets the keepers settle what is due; returns how many markets settled."""
        self.now = moment
        return len(self.cluster.advance_slot())


@pytest.mark.parametrize("hours", [1, 4, 8])
def test_a_settled_period_costs_what_the_event_says_an_hour_costs_times_its_hours(program: str, hours: int) -> None:
    simulated = Simulated(program, hours * HOUR)
    before = simulated.event()
    due = before.next_funding_ts
    assert due is not None
    assert due % (hours * HOUR) == 0
    assert START < due <= START + hours * HOUR
    assert simulated.settle_at(due - 1) == 0
    assert simulated.settle_at(due) == 2

    after = simulated.event()
    assert (after.funding_rate_ts, after.next_funding_ts) == (due, due + hours * HOUR)
    paid = after.cumulative_funding_rate_long - before.cumulative_funding_rate_long
    assert paid == after.funding_rate_long == after.funding_rate != 0
    assert after.hourly_rate is not None
    assert after.hourly_rate * hours == pytest.approx(paid / 1000 / after.oracle_twap_at_funding, rel=1e-12)
    assert expected_funding_usd(-1.0, paid, funding_period=after.funding_period, hours=hours) == pytest.approx(
        paid / 1e9
    )


def test_an_hour_of_a_flat_market_costs_the_same_under_every_period(program: str) -> None:
    """The program divides the day's premium by the periods of a day. The averages move by the period: hence 1 %."""
    hourly = {}
    for hours in (1, 4, 8):
        simulated = Simulated(program, hours * HOUR)
        record = simulated.market.record
        price = record["historical_oracle_data.last_oracle_price_twap"]
        record.update(dict.fromkeys(("last_bid_price_twap", "last_ask_price_twap", "last_mark_price_twap"), price))
        hourly[hours] = simulated.event().estimated_hourly_rate_long
    assert hourly[4] == pytest.approx(hourly[1], rel=1e-2)
    assert hourly[8] == pytest.approx(hourly[1], rel=1e-2)
    assert {"drift-v2": 7.3, "velocity-v1": 10.95}[program] == pytest.approx((hourly[8] or 0) * 876_000, rel=1e-2)


@pytest.mark.parametrize(("late_s", "periods"), [(0, 1), (8 * HOUR // 3, 1), (8 * HOUR // 3 + 1, 2)])
def test_keepers_that_are_a_third_of_eight_hours_late_skip_a_period(program: str, late_s: int, periods: int) -> None:
    simulated = Simulated(program, 8 * HOUR)
    due = simulated.event().next_funding_ts or 0
    assert simulated.settle_at(due + late_s) == 2
    expected = due + periods * 8 * HOUR
    assert simulated.event().next_funding_ts == expected
    assert simulated.settle_at(expected - 1) == 0
    assert simulated.settle_at(expected) == 2


def test_an_admin_changes_the_period_of_one_market(program: str) -> None:
    simulated = Simulated(program, HOUR)
    simulated.cluster.administer(simulated.market, funding_period_s=8 * HOUR)
    due = simulated.event().next_funding_ts or 0
    assert due % (8 * HOUR) == 0
    hourly_dues = {START - START % HOUR + HOUR * number for number in range(1, 9)} - {due}
    for moment in sorted(moment for moment in hourly_dues if moment < due):
        assert simulated.settle_at(moment) == 1  # the other market alone
    assert simulated.settle_at(due) == 2
    event = simulated.event()
    assert event.funding_period == 8 * HOUR
    assert event.rate_8h_percent == pytest.approx(event.funding_rate / 10 / event.oracle_twap_at_funding, rel=1e-12)


@pytest.mark.parametrize("period_s", [24 * HOUR + 1, 2**40])
def test_under_a_period_of_over_a_day_nothing_settles_and_nothing_is_told(program: str, period_s: int) -> None:
    simulated = Simulated(program, HOUR)
    simulated.cluster.administer(simulated.market, funding_period_s=period_s)
    assert simulated.cluster.settle_funding("SOL-PERP") is None
    event = simulated.event()
    assert event.funding_period == period_s
    assert event.next_funding_ts is event.estimated_funding_rate_long is event.hourly_rate is None


def test_a_period_of_zero_divides_nothing(program: str) -> None:
    simulated = Simulated(program, HOUR)
    simulated.cluster.administer(simulated.market, funding_period_s=0)
    for _ in range(3):
        simulated.cluster.step()
        assert simulated.settle_at(simulated.now + 1) == 1  # the program would settle at every turn
        event = simulated.event()
        assert event.next_funding_ts is event.estimated_funding_rate_long is event.hourly_rate is None
        assert event.apr_percent is event.rate_8h_percent is None
