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
from drift_simulator.layout import drift_idl

from .conftest import Clock
from .decoding import assert_decodes_alike, decode


@pytest.fixture
def cluster(clock: Clock) -> Cluster:
    return Cluster(SimulatorConfig(clock=clock))


def _run(cluster: Cluster, clock: Clock, steps: int, seconds_per_step: float = 0.1) -> None:
    for number in range(steps):
        clock.now += seconds_per_step
        cluster.step()
        if number % 4 == 0:
            cluster.advance_slot()


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
        decoded = decode(bytes(market.record))
        source = getattr(driftpy.types.OracleSource, market.oracle_source)()
        oracle = get_oracle_decode_fn(source)(bytes(cluster.oracles[market.oracle].data))
        bid, ask = bid_ask_price(market.record, reserve_price(market.record))
        assert bid <= ask, market.name
        middle = (bid + ask) / 2
        assert middle == pytest.approx(oracle.price, rel=0.015), market.name
        bid, ask = calculate_bid_ask_price(decoded.amm, oracle)
        assert bid <= ask, market.name
        assert (bid + ask) / 2 == pytest.approx(oracle.price, rel=0.06), market.name


def test_averages_follow_and_activity_wanders(cluster: Cluster, clock: Clock) -> None:
    market = cluster.perp("SOL-PERP")
    before = market.record.values()
    _run(cluster, clock, 3_000)
    moved = {path for path, value in market.record.values().items() if value != before[path]}
    assert moved >= {
        "amm.historical_oracle_data.last_oracle_price",
        "amm.historical_oracle_data.last_oracle_price_twap",
        "amm.historical_oracle_data.last_oracle_price_twap5min",
        "amm.historical_oracle_data.last_oracle_price_twap_ts",
        "amm.last_mark_price_twap",
        "amm.last_mark_price_twap5min",
        "amm.last_mark_price_twap_ts",
        "amm.last_bid_price_twap",
        "amm.last_ask_price_twap",
        "amm.mark_std",
        "amm.oracle_std",
        "amm.peg_multiplier",
        "amm.base_asset_reserve",
        "amm.quote_asset_reserve",
        "amm.bid_base_asset_reserve",
        "amm.ask_quote_asset_reserve",
        "amm.long_spread",
        "amm.short_spread",
        "amm.base_asset_amount_long",
        "amm.base_asset_amount_short",
        "amm.base_asset_amount_with_amm",
        "amm.volume24h",
        "number_of_users",
        "next_fill_record_id",
    }
    record = market.record
    longs, shorts = record["amm.base_asset_amount_long"], record["amm.base_asset_amount_short"]
    assert longs + shorts == record["amm.base_asset_amount_with_amm"]
    assert longs > 0 > shorts
    spot = cluster.market("USDC").record
    assert spot["last_interest_ts"] == pytest.approx(int(clock.now), abs=30)
    assert spot["cumulative_borrow_interest"] > spot["cumulative_deposit_interest"]


def test_a_market_in_settlement_stands_still(cluster: Cluster, clock: Clock) -> None:
    market = cluster.perp("TRUMP-WIN-2024-BET")
    before = bytes(market.record), bytes(cluster.oracles[market.oracle].data)
    _run(cluster, clock, 500)
    assert (bytes(market.record), bytes(cluster.oracles[market.oracle].data)) == before


def _contents(cluster: Cluster) -> dict[str, bytes]:
    return {address: bytes(account.data) for address, account in cluster.ledger.items()}


def test_a_seed_decides_everything() -> None:
    runs = []
    for seed in (7, 7, 8):
        clock = Clock()
        cluster = Cluster(SimulatorConfig(seed=seed, clock=clock, funding_period_s=5))
        _run(cluster, clock, 400)
        signatures = [entry.signature for entry in cluster.transactions.mentioning(str(DRIFT_PROGRAM_ID))]
        runs.append((_contents(cluster), signatures))
    assert runs[0] == runs[1]
    assert runs[0] != runs[2]
    assert len(runs[0][1]) > 50


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
    added = cluster.add_perp_market("NEW-PERP", price=2.5, tier="A")
    assert added.index == 82
    quote = cluster.add_spot_market("QUOTE", price=1.0, oracle_source="QuoteAsset")
    assert quote.oracle == Pubkey.default()
    bet = cluster.add_perp_market("NEW-BET", price=0.4, oracle_source="Prelaunch", contract_type="Prediction")
    new = [added.record, quote.record, bet.record]
    before = [bytes(record) for record in new]
    _run(cluster, clock, 300)
    assert all(bytes(record) != old for record, old in zip(new, before, strict=True))
    assert quote.record["historical_oracle_data.last_oracle_price"] == 1_000_000
    with pytest.raises(SimulatorError, match="quote-asset"):
        cluster.set_oracle_price("QUOTE", 5)


def test_a_market_changes_its_oracle(cluster: Cluster, clock: Clock) -> None:
    target = cluster.perp("BTC-PERP").oracle
    cluster.change_oracle("SOL-PERP", target, "PythLazer")
    cluster.set_oracle_price("BTC-PERP", 99_000_000_000)
    market = cluster.perp("SOL-PERP")
    decoded = decode(bytes(market.record))
    assert decoded.amm.oracle == target
    assert decoded.amm.historical_oracle_data.last_oracle_price == 99_000_000_000
    fresh = Pubkey.from_bytes(bytes(32 * [9]))
    cluster.change_oracle("SOL-PERP", fresh, "PythPull", price=150.0)
    assert market.record["amm.historical_oracle_data.last_oracle_price"] == 150_000_000
    assert cluster.oracles[fresh].family == "pull"


def test_a_set_price_is_read_by_every_market_of_the_oracle(cluster: Cluster) -> None:
    cluster.set_oracle_price("1MBONK-PERP", 20_000_000)
    perp, spot = cluster.perp("1MBONK-PERP"), cluster.market("BONK")
    assert perp.record["amm.historical_oracle_data.last_oracle_price"] == 20_000_000
    assert spot.record["historical_oracle_data.last_oracle_price"] == 20


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
        ("slot_interval_s", 0),
        ("perp_markets", 0),
    ],
)
def test_settings_out_of_range_are_named(setting: str, value: int) -> None:
    with pytest.raises(ValueError, match=f"{setting} is out of range"):
        SimulatorConfig(**{setting: value})  # type: ignore[arg-type]
