"""The cluster: what it holds by default, that it lives, and that a seed decides how."""

from __future__ import annotations

import driftpy.types
import pytest
from driftpy.accounts.oracle import get_oracle_decode_fn
from driftpy.addresses import get_perp_market_public_key, get_spot_market_public_key, get_state_public_key
from driftpy.constants.config import DRIFT_PROGRAM_ID
from driftpy.math.amm import calculate_bid_ask_price
from solders.pubkey import Pubkey

from drift_simulator import Cluster, PerpMarket, SimulatorConfig, SimulatorError, UnknownMarket
from drift_simulator.amm import bid_ask_price, reserve_price
from drift_simulator.layout import LayoutError, drift_idl

from .conftest import Clock
from .decoding import assert_decodes_alike, decode

DRIFT_ONLY = pytest.mark.parametrize("program", ["drift-v2"], indirect=True)


@pytest.fixture
def cluster(clock: Clock, program: str) -> Cluster:
    return Cluster(SimulatorConfig(program=program, clock=clock))


def _run(cluster: Cluster, clock: Clock, steps: int, seconds_per_step: float = 0.1) -> None:
    for number in range(steps):
        clock.now += seconds_per_step
        cluster.step()
        if number % 4 == 0:
            cluster.advance_slot()


@DRIFT_ONLY
def test_accounts_are_at_their_real_addresses(cluster: Cluster) -> None:
    for perp in cluster.perp_markets:
        assert perp.pubkey == get_perp_market_public_key(DRIFT_PROGRAM_ID, perp.index)
    for spot in cluster.spot_markets:
        assert spot.pubkey == get_spot_market_public_key(DRIFT_PROGRAM_ID, spot.index)
    state = cluster.ledger.get(str(get_state_public_key(DRIFT_PROGRAM_ID)))
    assert state is not None
    assert state.owner == str(DRIFT_PROGRAM_ID)
    decoded = decode(bytes(state.data))
    assert decoded.number_of_markets == 1 + max(market.index for market in cluster.perp_markets)
    assert decoded.number_of_spot_markets == 1 + max(market.index for market in cluster.spot_markets)


@DRIFT_ONLY
def test_the_default_cluster_has_the_odd_ones(cluster: Cluster) -> None:
    names = {market.name: market for market in cluster.perp_markets}
    assert {"SOL-PERP", "BTC-PERP", "ETH-PERP", "APT-PERP", "1MBONK-PERP", "JUP-PERP"} <= set(names)
    assert len(names) >= 14
    assert {market.name for market in cluster.spot_markets} >= {
        "USDC", "SOL", "mSOL", "wBTC", "wETH", "JitoSOL", "JUP", "BONK", "USDT",
    }  # fmt: skip
    sources = {market.oracle_source for market in cluster.markets}
    assert sources >= {
        "PythLazer", "PythLazer1K", "PythLazer1M", "PythLazerStableCoin", "PythPull", "Pyth1KPull",
        "Prelaunch", "SwitchboardOnDemand",
    }  # fmt: skip
    assert names["1MBONK-PERP"].oracle == cluster.market("BONK").oracle
    assert names["1MBONK-PERP"].oracle_source != cluster.market("BONK").oracle_source
    statuses = drift_idl().variants("MarketStatus")
    settled = names["TRUMP-WIN-2024-BET"].record
    assert settled["status"] == statuses["Settlement"]
    assert 0 < settled["expiry_ts"] < cluster.now
    assert names["RLB-PERP"].record["paused_operations"] == 1
    assert names["1KWEN-PERP"].record["status"] == statuses["FundingPaused"]


@pytest.mark.parametrize(("perps", "spots"), [(None, None), (85, 63)])
def test_every_market_decodes_to_what_the_simulator_holds(clock: Clock, perps: int | None, spots: int | None) -> None:
    cluster = Cluster(SimulatorConfig(clock=clock, perp_markets=perps, spot_markets=spots))
    _run(cluster, clock, 250)
    for market in cluster.markets:
        account = cluster.ledger.get(str(market.pubkey))
        assert account is not None
        assert len(account.data) == (1216 if isinstance(market, PerpMarket) else 776)
        decoded = decode(bytes(account.data))
        assert_decodes_alike(market.record, decoded)
        assert bytes(decoded.name).decode().rstrip() == market.name
        assert decoded.pubkey == market.pubkey


def test_quotes_stay_near_the_oracle(cluster: Cluster, clock: Clock) -> None:
    _run(cluster, clock, 3_000)
    for market in cluster.perp_markets:
        if market.is_frozen:
            continue
        oracle = cluster.oracles[market.oracle].read(market.oracle_source, cluster.slot)
        bid, ask = bid_ask_price(market.record, reserve_price(market.record))
        assert bid <= ask, market.name
        assert (bid + ask) / 2 == pytest.approx(oracle.price, rel=0.015), market.name


@DRIFT_ONLY
def test_driftpys_quotes_stay_near_the_oracle(cluster: Cluster, clock: Clock) -> None:
    _run(cluster, clock, 3_000)
    for market in cluster.perp_markets:
        if market.is_frozen:
            continue
        decoded = decode(bytes(market.record))
        source = getattr(driftpy.types.OracleSource, market.oracle_source)()
        oracle = get_oracle_decode_fn(source)(bytes(cluster.oracles[market.oracle].data))
        bid, ask = calculate_bid_ask_price(decoded.amm, oracle)
        assert bid <= ask, market.name
        assert (bid + ask) / 2 == pytest.approx(oracle.price, rel=0.06), market.name


def test_averages_follow_and_activity_wanders(cluster: Cluster, clock: Clock) -> None:
    market = cluster.perp("SOL-PERP")
    before = market.copy()
    _run(cluster, clock, 3_000)
    for field in (
        "historical_oracle_data.last_oracle_price",
        "historical_oracle_data.last_oracle_price_twap",
        "historical_oracle_data.last_oracle_price_twap5min",
        "historical_oracle_data.last_oracle_price_twap_ts",
        "last_mark_price_twap",
        "last_mark_price_twap5min",
        "last_mark_price_twap_ts",
        "last_bid_price_twap",
        "last_ask_price_twap",
        "mark_std",
        "oracle_std",
        "peg_multiplier",
        "base_asset_reserve",
        "quote_asset_reserve",
        "bid_base_asset_reserve",
        "ask_quote_asset_reserve",
        "long_spread",
        "short_spread",
        "base_asset_amount_long",
        "base_asset_amount_short",
        "base_asset_amount_with_amm",
        "volume24h",
        "number_of_users",
        "next_fill_record_id",
    ):
        assert market.record[field] != before[field], field
    record = market.record
    longs, shorts = record["base_asset_amount_long"], record["base_asset_amount_short"]
    assert longs + shorts == record["base_asset_amount_with_amm"]
    assert longs > 0 > shorts
    spot = cluster.spot_markets[0].record
    assert spot["last_interest_ts"] == pytest.approx(int(clock.now), abs=30)
    assert spot["cumulative_borrow_interest"] > spot["cumulative_deposit_interest"]


def test_a_market_in_settlement_stands_still(cluster: Cluster, clock: Clock) -> None:
    market = cluster.add_perp_market("OVER-PERP", price=3.0, status="Settlement")
    before = bytes(market.record), bytes(cluster.oracles[market.oracle].data)
    _run(cluster, clock, 500)
    assert (bytes(market.record), bytes(cluster.oracles[market.oracle].data)) == before


def _contents(cluster: Cluster) -> dict[str, bytes]:
    return {address: bytes(account.data) for address, account in cluster.ledger.items()}


def test_a_seed_decides_everything(program: str) -> None:
    runs = []
    for seed in (7, 7, 8):
        clock = Clock()
        cluster = Cluster(SimulatorConfig(program=program, seed=seed, clock=clock, funding_period_s=5))
        _run(cluster, clock, 400)
        address = str(cluster.program.program_id)
        signatures = [entry.signature for entry in cluster.transactions.mentioning(address)]
        runs.append((_contents(cluster), signatures))
    assert runs[0] == runs[1]
    assert runs[0] != runs[2]
    assert len(runs[0][1]) > 20


def test_real_names_come_first_then_synthetic_ones(clock: Clock) -> None:
    config = SimulatorConfig(clock=clock, perp_markets=88, spot_markets=64, oracles=130)
    cluster = Cluster(config)
    assert [market.name for market in cluster.perp_markets][84:] == [
        "LIT-PERP", "SIM85-PERP", "SIM86-PERP", "SIM87-PERP",
    ]  # fmt: skip
    assert cluster.spot_markets[-1].name == "SIM63"
    assert len(cluster.oracles) == 130
    assert [market.index for market in cluster.perp_markets] == list(range(88))
    assert Cluster(config).oracles.keys() == cluster.oracles.keys()
    assert len(Cluster(SimulatorConfig(clock=clock, perp_markets=85, spot_markets=63)).oracles) == 120


def test_markets_are_listed_while_it_runs(cluster: Cluster, clock: Clock) -> None:
    highest = max(market.index for market in cluster.perp_markets)
    added = cluster.add_perp_market("NEW-PERP", price=2.5, tier="A")
    assert (added.index, added.tier) == (highest + 1, "A")
    quote = cluster.add_spot_market("QUOTE", price=1.0, oracle_source="QuoteAsset")
    assert quote.oracle == Pubkey.default()
    bet = cluster.add_perp_market("NEW-BET", price=0.4, oracle_source="Prelaunch")
    assert bet.oracle == cluster.program.prelaunch_oracle_address(bet.index)
    new = [added.record, quote.record, bet.record]
    before = [bytes(record) for record in new]
    _run(cluster, clock, 300)
    assert all(bytes(record) != old for record, old in zip(new, before, strict=True))
    assert quote.record["historical_oracle_data.last_oracle_price"] == 1_000_000
    with pytest.raises(SimulatorError, match="quote-asset"):
        cluster.set_oracle_price("QUOTE", 5)


def test_an_admin_renames_delists_and_relists_a_market(cluster: Cluster, clock: Clock) -> None:
    market, spot = cluster.perp("SOL-PERP"), cluster.spot_markets[1]
    twin = cluster.add_perp_market("SOL-PERP", price=150.0)  # the programs let two have one name
    cluster.administer(market, status="Delisted")
    before = bytes(market.record)
    _run(cluster, clock, 100)
    assert bytes(market.record) == before  # nobody trades it
    cluster.administer(market, name="SOL-OLD", status="Active", funding_period_s=8 * 3600)
    cluster.administer(spot, name="OTHER", status="Delisted")
    account = cluster.ledger.get(str(market.pubkey))
    assert account is not None
    assert account.slot == cluster.slot
    assert market.record.raw("name") == b"SOL-OLD".ljust(32)
    assert (market.status, market.record["funding_period"]) == ("Active", 28_800)
    assert cluster.perp("SOL-PERP") is twin
    assert (cluster.market("OTHER"), spot.status) == (spot, "Delisted")
    with pytest.raises(SimulatorError, match="at most 32 bytes"):
        cluster.administer(market, name="X" * 33)
    with pytest.raises(SimulatorError, match="cannot have a funding period"):
        cluster.administer(spot, funding_period_s=3600)
    with pytest.raises(LayoutError):
        cluster.administer(market, status="Sold")


def test_a_market_changes_its_oracle(cluster: Cluster) -> None:
    market, target = cluster.perp("SOL-PERP"), cluster.perp("BTC-PERP").oracle
    cluster.change_oracle("SOL-PERP", target, "PythLazer")
    cluster.set_oracle_price("BTC-PERP", 99_000_000_000)
    assert market.oracle == target
    assert market.record.raw("oracle") == bytes(target)
    assert market.record["historical_oracle_data.last_oracle_price"] == 99_000_000_000
    fresh = Pubkey.from_bytes(bytes(32 * [9]))
    cluster.change_oracle("SOL-PERP", fresh, "Pyth1K", price=150.0)
    assert market.record["historical_oracle_data.last_oracle_price"] == 150_000_000
    assert market.record.variant("oracle_source") == "Pyth1K"
    assert cluster.oracles[fresh].family == "legacy"


def test_a_source_that_the_program_does_not_read_is_refused_and_changes_nothing(cluster: Cluster) -> None:
    market = cluster.perp("SOL-PERP")
    before, oracle = bytes(market.record), market.oracle
    with pytest.raises(SimulatorError, match=f"{cluster.program.name} reads no Switchboard oracle, only .*PythLazer"):
        cluster.change_oracle("SOL-PERP", Pubkey.from_bytes(bytes(32 * [9])), "Switchboard")
    with pytest.raises(SimulatorError, match="reads no Switchboard"):
        cluster.add_perp_market("NEW-PERP", price=1.0, oracle_source="Switchboard")
    assert (bytes(market.record), market.oracle) == (before, oracle)
    cluster.set_oracle_price("SOL-PERP", 150_000_000)
    assert market.record["historical_oracle_data.last_oracle_price"] == 150_000_000


def test_a_variant_that_the_program_does_not_have_is_named(cluster: Cluster) -> None:
    with pytest.raises(LayoutError, match="contract_type cannot be Lottery: the program has Perpetual"):
        cluster.add_perp_market("NEW-PERP", price=1.0, contract_type="Lottery")


def test_a_set_price_is_read_by_every_market_of_the_oracle(cluster: Cluster) -> None:
    perp = cluster.perp("SOL-PERP")
    cluster.add_spot_market("1MSOL", price=150e6, oracle=perp.oracle, oracle_source="PythLazer1M")
    cluster.set_oracle_price("SOL-PERP", 20_000_000)
    prices = {
        name: cluster.market(name).record["historical_oracle_data.last_oracle_price"]
        for name in ("SOL-PERP", "SOL", "1MSOL")
    }
    assert prices == {"SOL-PERP": 20_000_000, "SOL": 20_000_000, "1MSOL": 20_000_000_000_000}


def test_unknown_markets_are_named(cluster: Cluster) -> None:
    with pytest.raises(UnknownMarket, match="NOPE-PERP"):
        cluster.settle_funding("NOPE-PERP")
    with pytest.raises(UnknownMarket, match="NOPE"):
        cluster.set_oracle_price("NOPE", 1)


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("port", -1),
        ("updates_per_second", -1),
        ("funding_period_s", 0),
        ("funding_period_s", 86_401),
        ("slot_interval_s", 0),
        ("perp_markets", 0),
        ("spot_markets", 1_001),
    ],
)
def test_settings_out_of_range_are_named(setting: str, value: int) -> None:
    with pytest.raises(ValueError, match=f"{setting} is out of range"):
        SimulatorConfig(**{setting: value})  # type: ignore[arg-type]
