"""Projection: every published field is what driftpy decodes from the same bytes; derived numbers worked by hand."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings

from drift_publisher.accounts import OraclePrice
from drift_publisher.profiles.drift_v2 import DRIFT_V2
from drift_publisher.profiles.drift_v2.funding import estimated_funding_rates
from drift_publisher.profiles.drift_v2.records import PerpMarket, SpotMarket
from drift_publisher.projection import Quote, quote
from drift_publisher.settlements import next_funding_ts
from drift_schemas import FundingEvent, MarketDataEvent, MarketEvent, PriceEvent, SpotMarketEvent, decode_event, encode
from drift_simulator.layout import drift_idl

from .accounts import NOW, account_bytes, decode, perp, perp_bytes, pubkey, real_accounts, spot, spot_bytes, state_bytes
from .amm_states import AmmState, amm_states
from .events import ORIGIN, funding_event, market_event, price_event, spot_event

SLOT = 300_000_000
STATE = DRIFT_V2.state.read(state_bytes())
ORACLE = OraclePrice(100_500_000, 20_000, SLOT - 2)

Leaf = tuple[str, str]
"""Field of an event, and where driftpy has it."""

COMMON_FIELDS = {
    "schema_version", "program", "cluster", "epoch", "slot", "published_at_ns", "observed_at_ns", "market",
    "market_type", "market_index",
}  # fmt: skip
TWAPS = "historical_oracle_data.last_oracle_price_twap"
FUNDING: list[Leaf] = [
    ("funding_rate", "amm.last_funding_rate"),
    ("funding_rate_long", "amm.last_funding_rate_long"),
    ("funding_rate_short", "amm.last_funding_rate_short"),
    ("funding_rate_ts", "amm.last_funding_rate_ts"),
    ("funding_period", "amm.funding_period"),
    ("oracle_twap_at_funding", "amm.last_funding_oracle_twap"),
    ("funding_rate_24h_avg", "amm.last24h_avg_funding_rate"),
    ("cumulative_funding_rate_long", "amm.cumulative_funding_rate_long"),
    ("cumulative_funding_rate_short", "amm.cumulative_funding_rate_short"),
    ("mark_twap", "amm.last_mark_price_twap"),
    ("oracle_twap", f"amm.{TWAPS}"),
]
PERP_PRICE: list[Leaf] = [
    ("oracle_source", "amm.oracle_source"),
    ("mark_twap", "amm.last_mark_price_twap"),
    ("mark_twap_5min", "amm.last_mark_price_twap5min"),
    ("oracle_twap", f"amm.{TWAPS}"),
    ("oracle_twap_5min", f"amm.{TWAPS}5min"),
]
SPOT_PRICE: list[Leaf] = [
    ("oracle_source", "oracle_source"),
    ("oracle_twap", TWAPS),
    ("oracle_twap_5min", f"{TWAPS}5min"),
]
MARKET: list[Leaf] = [
    ("symbol", "name"),
    ("status", "status"),
    ("contract_type", "contract_type"),
    ("contract_tier", "contract_tier"),
    ("paused_operations", "paused_operations"),
    ("open_interest_long", "amm.base_asset_amount_long"),
    ("open_interest_short", "-amm.base_asset_amount_short"),
    ("max_open_interest", "amm.max_open_interest"),
    ("volume_24h", "amm.volume24h"),
    ("margin_ratio_initial", "margin_ratio_initial"),
    ("margin_ratio_maintenance", "margin_ratio_maintenance"),
    ("order_step_size", "amm.order_step_size"),
    ("order_tick_size", "amm.order_tick_size"),
    ("min_order_size", "amm.min_order_size"),
    ("number_of_users", "number_of_users"),
    ("expiry_ts", "expiry_ts"),
    ("oracle", "amm.oracle"),
    ("oracle_source", "amm.oracle_source"),
]
SPOT: list[Leaf] = [
    ("symbol", "name"),
    *((name, name) for name in (
        "status", "asset_tier", "mint", "decimals", "deposit_balance", "borrow_balance", "cumulative_deposit_interest",
        "cumulative_borrow_interest", "initial_asset_weight", "maintenance_asset_weight", "initial_liability_weight",
        "maintenance_liability_weight", "oracle", "oracle_source",
    )),
]  # fmt: skip
DERIVED: dict[type[MarketDataEvent], set[str]] = {
    FundingEvent: {"next_funding_ts", "estimated_funding_rate_long", "estimated_funding_rate_short", "is_paused"},
    PriceEvent: {
        "oracle_price", "oracle_confidence", "oracle_slot", "oracle_is_valid", "bid_price", "ask_price", "mark_price",
        "mm_oracle_price", "mm_oracle_slot", "safe_oracle_price", "safe_oracle_confidence",  # Drift has none of them
    },
    MarketEvent: set(),
    SpotMarketEvent: {"utilization", "deposit_rate", "borrow_rate"},
}  # fmt: skip


def leaf(decoded: Any, path: str) -> Any:
    """What driftpy decoded there, as an event says it."""
    for part in path.removeprefix("-").split("."):
        decoded = getattr(decoded, part)
    if isinstance(decoded, int):
        return -decoded if path.startswith("-") else decoded
    if type(decoded).__module__ == "sumtypes":
        return type(decoded).__name__
    if isinstance(decoded, list):
        return bytes(decoded).decode().rstrip(" \0")
    return str(decoded)


def numbered(kind: str) -> bytes:
    """An account in which every number is another one, so that no two fields can be mixed up."""
    record = drift_idl().account(kind).record()
    for number, (path, field) in enumerate(record.layout.fields.items(), start=1):
        if field.is_bytes:
            record[path] = (b"NAME-%d" % number).ljust(32) if path == "name" else bytes([number % 256]) * field.size
        elif field.enum is not None:
            record[path] = number % len(drift_idl().variants(field.enum))
        elif field.size == 1:
            record[path] = number % 50
        else:
            record[path] = -37 * number if path == "amm.base_asset_amount_short" else 37 * number
    record["market_index"] = 3
    return bytes(record)


def perp_events(market: PerpMarket) -> tuple[FundingEvent, PriceEvent, MarketEvent]:
    quoted = quote(market, ORACLE, DRIFT_V2.rules, NOW)
    return (
        funding_event(market, ORACLE, quoted, STATE),
        price_event(market, ORACLE, quoted, STATE, SLOT),
        market_event(market),
    )


def spot_events(market: SpotMarket) -> tuple[PriceEvent, SpotMarketEvent]:
    return price_event(market, ORACLE, None, STATE, SLOT), spot_event(market)


def assert_published_as_decoded(event: MarketDataEvent, table: list[Leaf], decoded: Any) -> None:
    for field, path in table:
        assert getattr(event, field) == leaf(decoded, path), field


def test_every_field_of_a_perp_markets_events_is_driftpys() -> None:
    for data in (numbered("PerpMarket"), perp_bytes()):
        decoded = decode(data)
        for event, table in zip(
            perp_events(DRIFT_V2.perp_market.read(data)), (FUNDING, PERP_PRICE, MARKET), strict=True
        ):
            assert_published_as_decoded(event, table, decoded)


def test_every_field_of_a_spot_markets_events_is_driftpys() -> None:
    for data in (numbered("SpotMarket"), spot_bytes()):
        decoded = decode(data)
        for event, table in zip(spot_events(DRIFT_V2.spot_market.read(data)), (SPOT_PRICE, SPOT), strict=True):
            assert_published_as_decoded(event, table, decoded)


def test_every_field_of_a_real_markets_events_is_driftpys() -> None:
    for data in real_accounts("PerpMarket").values():
        perp_market = DRIFT_V2.perp_market.read(data)
        for event, table in zip(perp_events(perp_market), (FUNDING, PERP_PRICE, MARKET), strict=True):
            assert_published_as_decoded(event, table, decode(data))
    for data in real_accounts("SpotMarket").values():
        spot_market = DRIFT_V2.spot_market.read(data)
        for spot_one, table in zip(spot_events(spot_market), (SPOT_PRICE, SPOT), strict=True):
            assert_published_as_decoded(spot_one, table, decode(data))


@pytest.mark.parametrize(
    ("kind", "table"),
    [(FundingEvent, FUNDING), (PriceEvent, PERP_PRICE), (MarketEvent, MARKET), (SpotMarketEvent, SPOT)],
)
def test_no_field_is_left_untested(kind: type[MarketDataEvent], table: list[Leaf]) -> None:
    assert set(kind.model_fields) == COMMON_FIELDS | DERIVED[kind] | {field for field, _ in table}


def test_the_table_tells_its_fields_apart() -> None:
    """Numbered accounts have another value in every field, so that a mix-up cannot pass."""
    decoded = decode(numbered("PerpMarket"))
    values = [leaf(decoded, path) for _, path in MARKET + FUNDING if isinstance(leaf(decoded, path), int)]
    assert len(set(values)) == len(values)


def test_every_event_says_where_it_comes_from() -> None:
    for event in (*perp_events(perp(name="SOL-PERP")), *spot_events(spot(name="SOL", index=1))):
        is_perp = event.market == "SOL-PERP"
        assert (event.program, event.cluster, event.epoch, event.slot) == ("drift-v2", "simulated", 4, 123)
        assert (event.observed_at_ns, event.published_at_ns) == (ORIGIN["observed_at_ns"], 0)
        assert (event.market_type, event.market_index) == (("perp", 0) if is_perp else ("spot", 1))


# --- derived fields ---------------------------------------------------------------------------------------------------


def test_derived_funding_fields_are_the_formulas() -> None:
    market = perp(last_funding_rate_ts=NOW - 1800, paused_operations=1)
    event = funding_event(market, ORACLE, Quote(100_000_000, 100_400_000), STATE)
    assert event.next_funding_ts == next_funding_ts(market) == NOW + 1800
    assert (event.estimated_funding_rate_long, event.estimated_funding_rate_short) == estimated_funding_rates(
        market, ORACLE, 100_200_000, NOW
    )
    assert event.is_paused


def test_a_market_without_a_period_has_no_next_funding() -> None:
    assert funding_event(perp(funding_period=0), None, None, None).next_funding_ts is None


def test_derived_price_fields_of_a_perp_market() -> None:
    market = perp()
    event = price_event(market, ORACLE, quote(market, ORACLE, DRIFT_V2.rules, NOW), STATE, SLOT)
    assert (event.oracle_price, event.oracle_confidence, event.oracle_slot) == ORACLE[:3]
    assert event.oracle_is_valid
    assert (event.bid_price, event.ask_price, event.mark_price) == (100_489_950, 100_510_050, 100_500_000)


def test_a_spot_market_has_no_quote_and_no_mark() -> None:
    event = price_event(spot(), ORACLE, None, STATE, SLOT)
    assert event.oracle_price == ORACLE.price
    assert event.bid_price is event.ask_price is event.mark_price is event.mark_twap is event.mark_twap_5min is None
    assert event.basis is None


@pytest.mark.parametrize("market", [perp(), spot()])
def test_without_an_oracle_prices_are_absent_and_not_valid(market: PerpMarket | SpotMarket) -> None:
    event = price_event(market, None, None, STATE, SLOT)
    assert event.oracle_price is event.oracle_confidence is event.oracle_slot is event.mark_price is None
    assert not event.oracle_is_valid
    assert event.oracle_twap == 100_000_000  # what the market's own account holds stays


def test_without_the_guard_rails_no_price_is_called_valid() -> None:
    assert not price_event(perp(), ORACLE, None, None, SLOT).oracle_is_valid


def test_an_oracle_goes_stale_by_the_chains_slot() -> None:
    for chain_slot, valid in ((SLOT + 8, True), (SLOT + 9, False)):
        assert price_event(perp(), ORACLE, None, STATE, chain_slot).oracle_is_valid is valid


def test_derived_spot_fields_are_the_programs_rates() -> None:
    event = spot_event(spot())
    assert (
        (event.utilization, event.deposit_rate, event.borrow_rate)
        == DRIFT_V2.rules.spot_rates(spot())
        == (500_000, 35_714, 71_428)
    )


# --- an event's own properties ----------------------------------------------------------------------------------------


def funding(rate: int, twap: int) -> FundingEvent:
    market = perp(last_funding_rate=rate, last_funding_oracle_twap=twap)
    return funding_event(market, None, None, None)


def test_rates_by_hand() -> None:
    """0.0085 quote an hour on 85 is 0.0001: 0.01 % an hour, 0.08 % in eight hours, 87.66 % a year of 8766 hours."""
    event = funding(8_500_000, 85_000_000)
    assert event.hourly_rate == pytest.approx(0.0001, rel=1e-12)
    assert event.rate_8h_percent == pytest.approx(0.08, rel=1e-12)
    assert event.apr_percent == pytest.approx(87.66, rel=1e-12)


def test_a_negative_rate_is_negative_in_every_form() -> None:
    event = funding(-8_500_000, 85_000_000)
    assert (event.hourly_rate, event.rate_8h_percent, event.apr_percent) == pytest.approx((-0.0001, -0.08, -87.66))


def test_before_the_first_settlement_there_is_no_rate() -> None:
    event = funding(0, 0)
    assert event.hourly_rate is event.rate_8h_percent is event.apr_percent is None


def test_estimates_are_fractions_of_the_running_oracle_twap() -> None:
    event = funding_event(perp(), OraclePrice(10**8, 0, 0), Quote(10**8, 10**8), None)
    assert event.estimated_funding_rate_long == 833_333
    assert event.estimated_hourly_rate_long == event.estimated_hourly_rate_short == pytest.approx(8.33333e-6)


def test_basis_is_mark_over_oracle() -> None:
    event = price_event(perp(), OraclePrice(10**8, 0, SLOT), Quote(100_090_000, 100_110_000), STATE, SLOT)
    assert event.basis == pytest.approx(0.001)


@pytest.mark.parametrize(("long", "short", "larger"), [(5, -3, 5), (3, -5, 5), (4, -4, 4), (0, 0, 0)])
def test_open_interest_is_the_larger_side_and_not_the_sum(long: int, short: int, larger: int) -> None:
    event = market_event(perp(base_asset_amount_long=long, base_asset_amount_short=short))
    assert (event.open_interest_long, event.open_interest_short) == (long, -short)
    assert event.open_interest == larger


# --- on the wire ------------------------------------------------------------------------------------------------------


@settings(deadline=None, max_examples=200)
@given(state=amm_states())
def test_what_is_sent_without_a_model_is_what_the_model_would_send(state: AmmState) -> None:
    """The helpers of ``events`` compare the bytes; any state of a market serves."""
    quoted = quote(state.market, state.oracle, DRIFT_V2.rules, state.now)
    funding_event(state.market, state.oracle, quoted, STATE)
    price_event(state.market, state.oracle, quoted, STATE, SLOT)
    market_event(state.market)


# --- purity -----------------------------------------------------------------------------------------------------------


def test_the_same_accounts_give_the_same_events_and_stay_what_they_are() -> None:
    market, spot_market = perp(), spot()
    before = (market._asdict(), spot_market._asdict())
    assert perp_events(market) == perp_events(perp())
    assert spot_events(spot_market) == spot_events(spot())
    assert (market._asdict(), spot_market._asdict()) == before


def test_no_clock_but_the_origins(monkeypatch: pytest.MonkeyPatch) -> None:
    events = (*perp_events(perp()), *spot_events(spot()))
    for clock in ("time", "time_ns", "monotonic"):
        monkeypatch.setattr(f"time.{clock}", lambda: pytest.fail("a clock was read"))
    assert (*perp_events(perp()), *spot_events(spot())) == events


def test_the_largest_numbers_of_the_chain_survive_the_way_over_the_wire() -> None:
    top = 2**128 - 1
    market = perp(
        cumulative_funding_rate_long=2**127 - 1,
        cumulative_funding_rate_short=-(2**127),
        base_asset_amount_short=-(2**127) + 1,
        max_open_interest=top,
        volume_24h=2**64 - 1,
    )
    spot_market = spot(deposit_balance=top, borrow_balance=top, cumulative_deposit_interest=top)
    for event in (
        funding_event(market, None, None, STATE),
        market_event(market),
        spot_event(spot_market),
    ):
        assert decode_event(event.kind, encode(event)) == event


def test_unknown_enum_numbers_are_published_as_such() -> None:
    data = bytearray(account_bytes("PerpMarket", oracle=pubkey(1)))
    for name in ("status", "contract_type", "contract_tier", "oracle_source"):
        data[DRIFT_V2.perp_market.fields[name].offset] = 200
    event = market_event(DRIFT_V2.perp_market.read(bytes(data)))
    assert {event.status, event.contract_type, event.contract_tier, event.oracle_source} == {"Unknown(200)"}
