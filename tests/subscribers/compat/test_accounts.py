"""The account views: field by field what driftpy decodes, and a clear word about what is not there."""

from __future__ import annotations

import copy
import pickle
from dataclasses import fields, is_dataclass
from typing import Any

import pytest
from driftpy.accounts.oracle import DRIFT_CODER, decode_oracle
from driftpy.types import AMM as DriftpyAmm
from driftpy.types import HistoricalOracleData as DriftpyHistory
from driftpy.types import OraclePriceData as DriftpyOraclePriceData
from driftpy.types import OracleSource, is_variant
from driftpy.types import PerpMarketAccount as DriftpyPerpMarket

from drift_bus.nats_server import LocalNatsServer
from drift_simulator import Simulator, SimulatorConfig
from drift_subscribers.compat import (
    AMM,
    DriftAdapter,
    DriftClientManager,
    DriftFundingFeed,
    FeedClient,
    HistoricalOracleData,
    OraclePriceData,
    PerpMarketAccount,
)
from drift_subscribers.compat.accounts import Variant
from tests.support.bus_writer import BusWriter, funding_event, market_event, price_event
from tests.support.publishing import running_publisher
from tests.support.wait import wait_until


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [(PerpMarketAccount, DriftpyPerpMarket), (AMM, DriftpyAmm), (HistoricalOracleData, DriftpyHistory)],
)
def test_every_field_has_driftpys_name(ours: Any, theirs: Any) -> None:
    assert {field.name for field in fields(ours)} <= {field.name for field in fields(theirs)}


def _differences(ours: Any, theirs: Any, path: str = "market") -> list[str]:
    """Fields of ours that driftpy's decoded account has otherwise; enums are told apart as old code does."""
    found: list[str] = []
    for field in fields(ours):
        mine, other, name = getattr(ours, field.name), getattr(theirs, field.name), f"{path}.{field.name}"
        if is_dataclass(mine):
            found += _differences(mine, other, name)
        elif isinstance(mine, Variant):
            found += [] if is_variant(mine, type(other).__name__) else [f"{name}: {mine!r} is not {other!r}"]
        elif isinstance(mine, str):
            found += [] if mine == str(other) else [f"{name}: {mine!r} is not {other!r}"]
        elif field.name == "last_oracle_price":
            continue  # the oracle's now; the account's is older
        elif mine != (list(other) if isinstance(mine, list) else other):
            found.append(f"{name}: {mine!r} is not {other!r}")
    return found


@pytest.mark.slow
@pytest.mark.timeout(300)
async def test_the_account_is_driftpys_field_by_field(engine: LocalNatsServer) -> None:
    """Freezes a living chain and compares every market with driftpy's decode of the same bytes."""
    config = SimulatorConfig(host="127.0.0.1", port=0, seed=11, updates_per_second=100.0)
    async with Simulator(config) as sim, running_publisher(sim, engine):
        client = await DriftClientManager.get_client("mainnet")
        assert client is not None
        sim.pause_walk()
        for perp in sim.cluster.perp_markets:
            index = perp.index
            account = DRIFT_CODER.accounts.decode(sim.account(perp.pubkey))

            def account_agrees(index: int = index, account: Any = account) -> bool:
                seen = client.get_perp_market_account(index)
                return seen is not None and not _differences(seen, account)

            try:
                await wait_until(account_agrees, 60)
            except AssertionError:
                seen = client.get_perp_market_account(index)
                pytest.fail(f"{perp.name}: {seen and _differences(seen, account)}")
            oracle = decode_oracle(sim.account(account.amm.oracle), account.amm.oracle_source)

            def oracle_agrees(index: int = index, oracle: DriftpyOraclePriceData = oracle) -> bool:
                seen = client.get_oracle_price_data_for_perp_market(index)
                return seen is not None and (seen.slot, seen.has_sufficient_number_of_data_points) == (
                    oracle.slot,
                    oracle.has_sufficient_number_of_data_points,
                )

            await wait_until(oracle_agrees, 60, f"{perp.name}'s oracle")
            data = client.get_oracle_price_data_for_perp_market(index)
            assert data is not None
            # driftpy leaves a pull oracle's confidence in the oracle's own exponent; ours is 1e-6 always
            pulled = type(account.amm.oracle_source).__name__.endswith("Pull")
            names = data.__dict__.keys() - ({"confidence"} if pulled else set())
            for name in names:  # driftpy goes through floats: its last digit may differ
                assert getattr(data, name) == pytest.approx(getattr(oracle, name), abs=1), (perp.name, name)
        await DriftClientManager.release_client()


async def test_old_code_reads_it_as_it_did(market_data: BusWriter) -> None:
    client = await DriftClientManager.get_client()
    assert client is not None
    market = client.get_perp_market_account(0)
    assert market is not None
    assert bytes(market.name).decode().strip() == "SOL-PERP"
    assert market.market_index == 0
    assert is_variant(market.status, "Active")
    assert is_variant(market.contract_tier, "A")
    assert not is_variant(market.status, "ReduceOnly")
    assert market.status == "Active"
    assert market.amm.last_funding_rate / 1e9 == 0.0015
    assert market.amm.base_asset_amount_long / 1e9 == 500_000
    assert market.amm.base_asset_amount_short / 1e9 == -400_000
    assert market.amm.volume24h / 1e6 == 1e8
    assert market.amm.historical_oracle_data.last_oracle_price_twap / 1e6 == 150
    assert market.amm.historical_oracle_data.last_oracle_price == 150_000_000
    oracle = client.get_oracle_price_data_for_perp_market(0)
    assert oracle is not None
    assert oracle.price / 1e6 == 150
    assert repr(oracle).startswith("OraclePriceData(price=150000000, slot=300000000, confidence=10000, twap=150000000")
    assert copy.deepcopy(market) == pickle.loads(pickle.dumps(market)) == market
    await DriftClientManager.release_client()


@pytest.mark.parametrize(
    ("path", "names", "remedy"),
    [
        ("", "PerpMarketAccount.pubkey", "use DriftFeed's events"),
        ("amm", "AMM.peg_multiplier", "use DriftFeed.price(name).mark_price"),
        (
            "amm.historical_oracle_data",
            "HistoricalOracleData.last_oracle_conf",
            "use DriftFeed's events",
        ),
    ],
)
async def test_what_is_not_published_says_so(path: str, names: str, remedy: str, market_data: BusWriter) -> None:
    client = await DriftClientManager.get_client()
    assert client is not None
    view: Any = client.get_perp_market_account(0)
    for step in path.split(".") if path else ():
        view = getattr(view, step)
    with pytest.raises(AttributeError) as caught:
        getattr(view, names.partition(".")[2])
    assert str(caught.value).startswith(f"{names} is not published on the bus: {remedy}")
    await DriftClientManager.release_client()


def test_the_client_says_what_to_use_instead() -> None:
    client: Any = FeedClient(lambda: None)
    with pytest.raises(AttributeError, match=r"FeedClient.unsubscribe .* use DriftClientManager.release_client"):
        client.unsubscribe()
    assert not hasattr(client, "get_user")


_MARKET_DATA_ONLY = "reads market data only; keep a driftpy DriftClient for accounts, orders and signing"


@pytest.mark.parametrize("owner", [FeedClient(lambda: None), DriftAdapter(), DriftFundingFeed(), DriftClientManager])
@pytest.mark.parametrize(
    ("name", "remedy"),
    [
        ("get_account_state", _MARKET_DATA_ONLY),
        ("wallet", _MARKET_DATA_ONLY),
        ("trading", _MARKET_DATA_ONLY),
        ("place_perp_order", _MARKET_DATA_ONLY),
        ("get_user_account", _MARKET_DATA_ONLY),
        ("rpc_client", "the publisher owns it (DRIFT_BUS_RPC_URL)"),
        ("connection", "the publisher owns it (DRIFT_BUS_RPC_URL)"),
        ("subscribe", "is up to date"),
        ("drift_client", "use DriftClientManager.get_client()"),
        ("get_market_statz", "(docs/migration.md lists what they carry), or a driftpy DriftClient"),
    ],
)
def test_what_an_old_object_does_not_have_says_what_to_use(owner: Any, name: str, remedy: str) -> None:
    whose = owner.__name__ if isinstance(owner, type) else type(owner).__name__
    with pytest.raises(AttributeError, match=rf"^{whose}\.{name} is not published on the bus: ") as caught:
        getattr(owner, name)
    assert str(caught.value).endswith(remedy)
    assert not hasattr(owner, name)


@pytest.mark.parametrize(
    ("source", "twap", "enough"),
    [
        ("PythLazer", 150_000_000, True),
        ("PythLazer1M", 150_000_000, True),
        ("Prelaunch", None, True),
        ("SwitchboardOnDemand", None, True),
        ("QuoteAsset", 1, True),
        ("Switchboard", None, "missing"),
        ("PythPull", "missing", True),
        ("Pyth", "missing", True),
    ],
)
def test_oracle_fields_by_source(source: str, twap: object, enough: object) -> None:
    assert hasattr(OracleSource, source)
    data = OraclePriceData(150_000_000, price_event(oracle_source=source))
    assert getattr(data, "twap", "missing") == twap
    assert hasattr(data, "twap_confidence") == (twap != "missing")
    assert getattr(data, "has_sufficient_number_of_data_points", "missing") == enough


async def test_a_market_is_found_by_its_index_whatever_its_name_is_now(bus: BusWriter, engine: LocalNatsServer) -> None:
    """A dead market goes by its index once the live one has its name; then the two change places."""

    async def tell(name: str, index: int) -> None:
        common: dict[str, Any] = {"market_index": index}
        await bus.change(funding_event(name, 1_000 + index, **common))
        await bus.change(price_event(name, 150_000_000 + index, market_type="perp", **common))
        await bus.change(market_event(name, symbol="SOL-PERP", **common))

    def rates(client: FeedClient) -> list[int | None]:
        accounts = [client.get_perp_market_account(index) for index in (81, 82)]
        return [None if account is None else account.amm.last_funding_rate for account in accounts]

    await tell("SOL-PERP_p81", 81)
    await tell("SOL-PERP", 82)
    client = await DriftClientManager.get_client()
    assert client is not None
    assert rates(client) == [1_081, 1_082]
    account = client.get_perp_market_account(81)
    assert account is not None
    assert bytes(account.name).decode().rstrip() == "SOL-PERP"
    await tell("SOL-PERP", 81)
    await tell("SOL-PERP_p82", 82)

    def prices_follow() -> bool:
        of = [client.get_oracle_price_data_for_perp_market(index) for index in (81, 82)]
        return [price.price for price in of if price is not None] == [150_000_081, 150_000_082]

    await wait_until(prices_follow)
    assert rates(client) == [1_081, 1_082]
    await DriftClientManager.release_client()
