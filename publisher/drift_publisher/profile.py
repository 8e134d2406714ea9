"""The form of a program profile: addresses, layouts, tables and rules of one on-chain program."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, Protocol, TypeVar

from solders.pubkey import Pubkey

from drift_publisher.accounts import OraclePrice, PerpMarket, SpotMarket, SpotRates, State
from drift_publisher.layout import Layout
from drift_publisher.oracles import OracleFormat

if TYPE_CHECKING:
    from drift_publisher.endpoints import Endpoint
    from drift_publisher.store import AccountStore
    from drift_publisher.store_subscriber import StoreSubscriber

__all__ = ["AnyProfile", "AnyRules", "Client", "Lifecycle", "ProgramProfile", "Rules"]

_Perp = TypeVar("_Perp", bound=PerpMarket)
_Spot = TypeVar("_Spot", bound=SpotMarket)
_State = TypeVar("_State", bound=State)

_FILLS_PAUSED = 0b1000


class Lifecycle(NamedTuple):
    """What a client's ``subscribe()``, ``fetch()`` and ``unsubscribe()`` do."""

    start: Callable[[], Awaitable[None]]
    fetch: Callable[[], Awaitable[None]]
    stop: Callable[[], Awaitable[None]]


class Client(Protocol):
    """What holds the one subscription: the program's own SDK client, or ours where it has none."""

    account_subscriber: StoreSubscriber

    async def close(self) -> None:
        """Closes what it holds beside the subscription."""


@dataclass(frozen=True, slots=True)
class Rules(Generic[_Perp, _Spot, _State]):
    """What the program computes from its accounts, in its own integers. Pure: the only clock is an argument.

    Attributes:
        quote: Market, oracle (``None`` where it cannot be read), Unix seconds → the AMM's (bid, ask), 1e-6; ``None``
            where the state has no price.
        next_funding_ts: Market → earliest time of the next settlement; ``None`` where nothing settles.
        estimated_funding_rates: Market, oracle, mark price 1e-6, Unix seconds → the running period's (long, short);
            ``None`` where the TWAPs give no rate.
        funding_is_paused: Market, State → something keeps funding from settling.
        oracle_is_valid: Market, oracle, State, the chain's slot → the program itself would trust the reading now.
        oldest_oracle_slots: Market, State → how many slots old a price may be; ``None`` where the program does not ask.
        spot_rates: Spot market → utilization and interest rates.
        more_prices: Perp market, oracle, State, the chain's slot → the last fields of
            :class:`~drift_schemas.PriceEvent`, which only some programs have; empty in one that has none.
    """

    quote: Callable[[_Perp, OraclePrice | None, int], tuple[int, int] | None]
    next_funding_ts: Callable[[_Perp], int | None]
    estimated_funding_rates: Callable[[_Perp, OraclePrice, int, int], tuple[int, int] | None]
    funding_is_paused: Callable[[_Perp, _State | None], bool]
    oracle_is_valid: Callable[[_Perp | _Spot, OraclePrice, _State, int], bool]
    oldest_oracle_slots: Callable[[_Perp | _Spot, _State], int | None]
    spot_rates: Callable[[_Spot], SpotRates]
    more_prices: Callable[[_Perp, OraclePrice | None, _State | None, int], Mapping[str, Any]]


@dataclass(frozen=True)
class ProgramProfile(Generic[_Perp, _Spot, _State]):
    """One on-chain program. A second program is a second profile, never a branch through the code.

    Attributes:
        name: What events say in ``program``.
        program_id: Address of the program, owner of its accounts.
        state_seed, perp_market_seed, spot_market_seed: Seeds of the program-derived addresses.
        state, perp_market, spot_market: Where the fields of its accounts stand.
        oracle_formats: Oracle source → how its account is read.
        rules: Its formulas.
        open_client: Makes the client of an endpoint over a store.
        require_client: Raises ``SettingsError`` where a package is missing that the client needs; it imports nothing.
    """

    name: str
    program_id: str
    state_seed: bytes
    perp_market_seed: bytes
    spot_market_seed: bytes
    state: Layout[_State]
    perp_market: Layout[_Perp]
    spot_market: Layout[_Spot]
    oracle_formats: Mapping[str, OracleFormat]
    rules: Rules[_Perp, _Spot, _State]
    open_client: Callable[[AccountStore, Endpoint, Lifecycle], Client]
    require_client: Callable[[], None] = lambda: None

    @property
    def state_address(self) -> str:
        """Address of the program's global account."""
        return self._derive(self.state_seed)

    def perp_market_address(self, index: int) -> str:
        """Address of the perp market with this index."""
        return self._derive(self.perp_market_seed, index.to_bytes(2, "little"))

    def spot_market_address(self, index: int) -> str:
        """Address of the spot market with this index."""
        return self._derive(self.spot_market_seed, index.to_bytes(2, "little"))

    def market_addresses(self, state: State) -> list[str]:
        """Addresses of all markets that the State counts, perp markets first; some may not be taken."""
        perps = [self.perp_market_address(index) for index in range(state.number_of_markets)]
        return perps + [self.spot_market_address(index) for index in range(state.number_of_spot_markets)]

    def own_oracles(self, source: str) -> bytes:
        """What the accounts of an oracle source begin with that the program itself owns; empty where others do."""
        format_ = self.oracle_formats.get(source)
        return format_.discriminator if format_ is not None else b""

    @cached_property
    def own_oracle_discriminators(self) -> frozenset[bytes]:
        """What the accounts begin with that the program owns and markets may name as their oracles."""
        return frozenset(one.discriminator for one in self.oracle_formats.values() if one.discriminator)

    def is_paused(self, state: State) -> bool:
        """Nobody can trade: the exchange's fills are paused."""
        return bool(state.exchange_status & _FILLS_PAUSED)

    def _derive(self, *seeds: bytes) -> str:
        return _program_address(self.program_id, seeds)


AnyProfile = ProgramProfile[Any, Any, Any]
AnyRules = Rules[Any, Any, Any]
"""Profile and rules as the pipeline has them, which does not ask which program it is."""


@lru_cache(maxsize=1024)
def _program_address(program_id: str, seeds: tuple[bytes, ...]) -> str:
    return str(Pubkey.find_program_address(list(seeds), Pubkey.from_string(program_id))[0])
