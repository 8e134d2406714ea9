"""The account store as a program's SDK asks its subscriber: every getter of driftpy's, no socket of its own."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from drift_publisher.accounts import Market, OraclePrice
from drift_publisher.profile import Lifecycle
from drift_publisher.store import AccountStore, MarketKey

__all__ = ["DataAndSlot", "StoreClient", "StoreSubscriber"]


class DataAndSlot(NamedTuple):
    """An account, and the slot that it is of."""

    slot: int
    data: Any


class StoreSubscriber:
    """Answers from the account store, in the records of the program's profile.

    A program that has an SDK overrides in what form accounts and prices are given. What is not there is ``None`` or an
    empty list, never an exception.

    Args:
        store: The publisher's account store.
        lifecycle: What ``subscribe()``, ``fetch()`` and ``unsubscribe()`` do.

    Attributes:
        hits: Reads that were given a value from memory.
        misses: Reads of what is not held.
    """

    def __init__(self, store: AccountStore, lifecycle: Lifecycle) -> None:
        self._store = store
        self._lifecycle = lifecycle
        self._subscribed = False
        self.hits = 0
        self.misses = 0

    async def subscribe(self) -> None:
        """Returns when every account has been read once."""
        if not self._subscribed:
            await self._lifecycle.start()
            self._subscribed = True

    async def fetch(self) -> None:
        """Reads every account again."""
        await self._lifecycle.fetch()

    async def unsubscribe(self) -> None:
        """Ends the subscription."""
        self._subscribed = False
        await self._lifecycle.stop()

    def is_subscribed(self) -> bool:
        """Whether ``subscribe()`` has returned."""
        return self._subscribed

    def get_state_account_and_slot(self) -> Any:
        """The State account."""
        return self._counted(self._account(self._store.profile.state_address))

    def get_perp_market_and_slot(self, market_index: int) -> Any:
        """A perp market by its index."""
        return self._market(MarketKey("perp", market_index))

    def get_spot_market_and_slot(self, market_index: int) -> Any:
        """A spot market by its index."""
        return self._market(MarketKey("spot", market_index))

    def get_market_accounts_and_slots(self) -> list[Any]:
        """All perp markets, by index."""
        return _present(self.get_perp_market_and_slot(index) for index in sorted(self._store.perp_markets))

    def get_spot_market_accounts_and_slots(self) -> list[Any]:
        """All spot markets, by index."""
        return _present(self.get_spot_market_and_slot(index) for index in sorted(self._store.spot_markets))

    def get_oracle_price_data_and_slot(self, oracle_id: str) -> Any:
        """An oracle by its id: its address and its source, as the SDK joins them."""
        markets = (market for market in self._store.markets() if self._oracle_id(market) == oracle_id)
        return self._price(next(markets, None))

    def get_oracle_price_data_and_slot_for_perp_market(self, market_index: int) -> Any:
        """The oracle of a perp market."""
        return self._price(self._store.perp_markets.get(market_index))

    def get_oracle_price_data_and_slot_for_spot_market(self, market_index: int) -> Any:
        """The oracle of a spot market."""
        return self._price(self._store.spot_markets.get(market_index))

    def _account(self, address: str) -> Any:
        """The account in the SDK's form with its slot, or ``None``."""
        version, profile = self._store.version(address), self._store.profile
        if version is None:
            return None
        if address == profile.state_address:
            return None if self._store.state is None else DataAndSlot(version.slot, self._store.state)
        market = next((market for market in self._store.markets() if market.pubkey == address), None)
        return None if market is None else DataAndSlot(version.slot, market)

    def _price_data(self, slot: int, price: OraclePrice) -> Any:
        """A reading in the SDK's form, with the slot of its account."""
        return DataAndSlot(slot, price)

    def _oracle_id(self, market: Market) -> str | None:
        return f"{market.oracle}-{market.oracle_source}"

    def _market(self, key: MarketKey) -> Any:
        market = self._store.market(key)
        return self._counted(None if market is None else self._account(market.pubkey))

    def _price(self, market: Market | None) -> Any:
        price = None if market is None else self._store.oracle(market)
        if market is None or price is None:
            return self._counted(None)
        version = self._store.version(market.oracle)
        return self._counted(self._price_data(0 if version is None else version.slot, price))

    def _counted(self, found: Any) -> Any:
        self.hits += found is not None
        self.misses += found is None
        return found


class StoreClient:
    """The client of a program without an SDK: the subscription, and nothing else to close."""

    def __init__(self, store: AccountStore, lifecycle: Lifecycle) -> None:
        self.account_subscriber = StoreSubscriber(store, lifecycle)

    async def close(self) -> None:
        """Nothing is held beside the subscription."""


def _present(accounts: Iterable[Any]) -> list[Any]:
    return [account for account in accounts if account is not None]
