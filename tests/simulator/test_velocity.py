"""The Velocity cluster: real addresses, the markets of the relaunch, and what moves in it."""

from __future__ import annotations

from itertools import pairwise

import pytest
from solders.pubkey import Pubkey

from drift_simulator import DEMO_AUTHORITY, Cluster, SimulatorConfig, SimulatorError
from drift_simulator.layout import velocity_idl
from drift_simulator.programs import PROGRAMS, program_named

from .conftest import PROGRAMS as TESTED
from .conftest import Clock

PROGRAM = "vELoC1audYbSYVRXn1vPaV8Axoa9oU6BYmNGZZBDZ1P"
STATE = "2etx5NvPNxeMZ7EfHE6GjJfW2imRYEUANehNS1WB4CVW"
# name, tier, account, oracle, number of its Lazer feed
PERPS = [
    (
        "SOL-PERP",
        "B",
        "FDejXbUrSy6zayBCL5xuk2SXLHZgr8ppfFTLcHbyJorY",
        "2k3UHX6ehRFzx5fTVvbL6FwXhMjkucjJDL9MuVKLo8TV",
        6,
    ),
    (
        "BTC-PERP",
        "B",
        "7s5WRWA3GahueLNfNb8bbVnHnxCssK5YjGCR3wP6Aa1t",
        "J7Fp8iTKuKdCM7PnzqHXTdTo5Jr7ykAmiDyvpz58GJGZ",
        1,
    ),
    (
        "ETH-PERP",
        "B",
        "Bx7JoyYAmBLDPnEdQsPUEhs2dDu4Ga5PoW5BhhhAcChg",
        "6wQ5RiQ7usJ3TqYZSiuAPZHrVCeSWNrvace84khDKEmH",
        2,
    ),
    (
        "HYPE-PERP",
        "C",
        "Sozrqx5wyAiRUQKJSmNTQisUT5sJJViK2L13nL9v46k",
        "Nc9hadTxNbLw6SiYVGVGjp4WZjanWUuNiKSxdHwHNtK",
        110,
    ),
    (
        "ZEC-PERP",
        "C",
        "5rrUpt58QM7UiCXAsRXycFu2tCeNARSzjoMrpLde1JRd",
        "AqpaPcu6PYHrYNySrVptnQnwxVCNxWVFuCgCsr8R1eLQ",
        66,
    ),
]
SPOTS = [
    ("USDT", 6, "2QpHj5vzgCdWaGM2KSoGtYJWeSkx24cMyzUDHDrucvRc", "Dai8hT1YRBBm5rBSJUSKcdR11psM55LVAkshbypfC4k4"),
    ("SOL", 9, "5MzQRp6hhesVuM3CSAzBfPSNP1WaJyF1ifwkmzcrWLtU", "2k3UHX6ehRFzx5fTVvbL6FwXhMjkucjJDL9MuVKLo8TV"),
    ("wBTC", 8, "GmA9Ay8ADexoXxkRqoU1jmd63ezFgL4zhEBuX8izfiV4", "J7Fp8iTKuKdCM7PnzqHXTdTo5Jr7ykAmiDyvpz58GJGZ"),
    ("wETH", 8, "DPhkpuWJkxvHMdEfGJLq1ywofS6R2oUJXFBpSpbYrNuh", "6wQ5RiQ7usJ3TqYZSiuAPZHrVCeSWNrvace84khDKEmH"),
    ("ZEC", 8, "DF6bKDsE5mxwb876exhNtcoXkoegtxehjvggLaNAqVAm", "AqpaPcu6PYHrYNySrVptnQnwxVCNxWVFuCgCsr8R1eLQ"),
]


@pytest.fixture
def cluster(clock: Clock) -> Cluster:
    return Cluster(SimulatorConfig(program="velocity-v1", clock=clock))


def _run(cluster: Cluster, clock: Clock, steps: int) -> None:
    for number in range(steps):
        clock.now += 0.1
        cluster.step()
        if number % 4 == 0:
            cluster.advance_slot()


def test_perp_markets_are_at_their_real_addresses(cluster: Cluster) -> None:
    held = [(market.name, market.tier, str(market.pubkey), str(market.oracle)) for market in cluster.perp_markets]
    assert held == [market[:4] for market in PERPS]
    for number, market in enumerate(cluster.perp_markets):
        account = cluster.ledger.get(str(market.pubkey))
        assert account is not None
        assert (account.owner, len(account.data)) == (PROGRAM, 1560)
        record = velocity_idl().account("PerpMarket").record(bytes(account.data))
        assert record["market_index"] == number
        assert record.raw("name") == market.name.encode().ljust(32)
        assert (record["quote_spot_market_index"], record["funding_period"]) == (0, 3600)
        assert (record["funding_clamp_threshold"], record["funding_ramp_slope"]) == (5, 1_000_000)
        assert (record.variant("oracle_source"), record.variant("status")) == ("PythLazer", "Active")


def test_spot_markets_are_at_their_real_addresses(cluster: Cluster) -> None:
    held = [
        (market.name, market.listing.decimals, str(market.pubkey), str(market.oracle))
        for market in cluster.spot_markets
    ]
    assert held == SPOTS
    for market in cluster.spot_markets:
        account = cluster.ledger.get(str(market.pubkey))
        assert account is not None
        assert (account.owner, len(account.data)) == (PROGRAM, 1064)
    usdt = cluster.market("USDT").record
    assert usdt.variant("oracle_source") == "PythLazerStableCoin"
    assert usdt["historical_oracle_data.last_oracle_price"] == 1_000_000


def test_oracles_are_derived_from_their_feeds_and_belong_to_the_program(cluster: Cluster) -> None:
    program = program_named("velocity-v1")
    assert {str(program.lazer_oracle_address(feed)) for *_, feed in PERPS} == {oracle for *_, oracle, _ in PERPS}
    assert str(program.lazer_oracle_address(8)) == SPOTS[0][3]
    assert len(cluster.oracles) == 6
    for pubkey in cluster.oracles:
        account = cluster.ledger.get(str(pubkey))
        assert account is not None
        assert (account.owner, len(account.data)) == (PROGRAM, 48)


def test_the_state_tells_how_many_markets_there_are_and_the_guard_rails(clock: Clock) -> None:
    cluster = Cluster(SimulatorConfig(program="velocity-v1", clock=clock, slot_interval_s=0.25))
    account = cluster.ledger.get(STATE)
    assert account is not None
    assert (account.owner, len(account.data)) == (PROGRAM, 1752)
    state = velocity_idl().account("State").record(bytes(account.data))
    assert (state["number_of_markets"], state["number_of_spot_markets"]) == (5, 5)
    assert state["slot_duration_ms"] == 250
    assert str(Pubkey.from_bytes(state.raw("signer"))) == "FchXiT9JgMDis6CFLjz9uG5mQYkmDtHqiWtBPEYUabaK"
    rails = {path.rpartition(".")[2]: state[path] for path in state.layout.fields if path.startswith("oracle_guard")}
    assert rails == {
        "mark_oracle_percent_divergence": 100_000,
        "oracle_twap_5min_percent_divergence": 500_000,
        "slots_before_stale_for_amm": 10,
        "slots_before_stale_for_margin": 120,
        "confidence_interval_max_size": 20_000,
        "too_volatile_ratio": 5,
    }
    cluster.add_perp_market("NEW-PERP", price=1.0)
    told = cluster.ledger.get(STATE)
    assert told is not None
    assert velocity_idl().account("State").record(bytes(told.data))["number_of_markets"] == 6


def test_spread_caches_say_when_they_were_written(cluster: Cluster, clock: Clock) -> None:
    _run(cluster, clock, 2_000)
    market = cluster.perp("SOL-PERP")
    cluster.set_oracle_price("SOL-PERP", 143_000_000)
    record = market.record
    assert record["last_spread_update_slot"] == record["last_update_slot"] == cluster.slot
    assert record["long_spread"] > 0 < record["short_spread"]
    offsets = {entry.record["reference_price_offset"] for entry in cluster.perp_markets}
    assert len(offsets) > 1
    assert all(abs(offset) <= 1_000 for offset in offsets)


def test_market_makers_post_within_the_programs_limits(cluster: Cluster, clock: Clock) -> None:
    market = cluster.perp("SOL-PERP")
    posts = [(market.record["mm_oracle_slot"], market.record["mm_oracle_price"])]
    for number in range(4_000):
        if number == 2_000:
            cluster.set_oracle_price("SOL-PERP", 200_000_000)
        _run(cluster, clock, 1)
        post = market.record["mm_oracle_slot"], market.record["mm_oracle_price"]
        if post != posts[-1]:
            posts.append(post)
    assert len(posts) > 50
    for (slot, price), (next_slot, next_price) in pairwise(posts):
        assert next_slot - slot >= 2  # 0.8 seconds
        assert abs(next_price - price) <= price // 100
    oracle = cluster.oracles[market.oracle]
    price = oracle.read("PythLazer", cluster.slot).price
    assert market.record["mm_oracle_price"] == pytest.approx(price, rel=0.01)  # it has walked to the new price
    assert 0 < market.record["mm_oracle_sequence_id"] <= oracle.sequence_id


def test_real_names_come_first_then_synthetic_ones(clock: Clock) -> None:
    config = SimulatorConfig(program="velocity-v1", clock=clock, perp_markets=85, spot_markets=63, oracles=150)
    cluster = Cluster(config)
    assert [market.name for market in cluster.perp_markets][3:7] == ["HYPE-PERP", "ZEC-PERP", "SIM5-PERP", "SIM6-PERP"]
    assert [market.index for market in cluster.perp_markets] == list(range(85))
    assert [market.name for market in cluster.spot_markets][4:6] == ["ZEC", "SIM5"]
    assert len(cluster.spot_markets) == 63
    assert len(cluster.oracles) == 150
    assert Cluster(config).oracles.keys() == cluster.oracles.keys()
    _run(cluster, clock, 300)
    few = Cluster(SimulatorConfig(program="velocity-v1", clock=clock, perp_markets=2, spot_markets=1))
    assert [market.name for market in few.markets] == ["SOL-PERP", "BTC-PERP", "USDT"]


def test_users_are_not_simulated(cluster: Cluster) -> None:
    with pytest.raises(SimulatorError, match="velocity-v1 is simulated without users"):
        cluster.add_user(DEMO_AUTHORITY.pubkey())


def test_programs_are_known_by_name() -> None:
    assert tuple(PROGRAMS) == TESTED
    with pytest.raises(ValueError, match=r"program 'velocity' is unknown: choose drift-v2 or velocity-v1"):
        SimulatorConfig(program="velocity")


def test_fields_go_by_their_own_names_in_both_programs() -> None:
    names = [
        "oracle", "status", "funding_period", "last_funding_rate_ts", "base_asset_amount_long", "peg_multiplier",
        "last_mark_price_twap5min", "volume24h", "last24h_avg_funding_rate", "total_exchange_fee",
        "historical_oracle_data.last_oracle_price_twap5min",
    ]  # fmt: skip
    drift, velocity = (PROGRAMS[name].idl.account("PerpMarket") for name in TESTED)
    assert set(names) <= drift.paths.keys() & velocity.paths.keys()
    assert drift.paths["volume24h"] == "amm.volume24h"
    assert velocity.paths["volume24h"] == "market_stats.volume_24h"
    record = velocity.record()
    record["volume24h"] = 7
    assert record["market_stats.volume_24h"] == 7
