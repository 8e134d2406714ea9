"""driftpy's account subscriber over our store: every getter of the DriftClient, no socket of its own."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from construct import ConstructError
from driftpy.accounts.types import DataAndSlot, DriftClientAccountSubscriber
from driftpy.oracles.oracle_id import get_oracle_id
from driftpy.types import OraclePriceData, OracleSource, PerpMarketAccount, SpotMarketAccount, StateAccount
from solders.pubkey import Pubkey

from drift_publisher.accounts import PerpMarket, SpotMarket
from drift_publisher.store import AccountStore, MarketKey

__all__ = ["StoreAccountSubscriber"]

_log = logging.getLogger(__name__)


class StoreAccountSubscriber(DriftClientAccountSubscriber):
    """Answers the ``DriftClient`` from the account store; full driftpy objects are decoded when somebody asks.

    What is not there is ``None`` or an empty list, never an exception.

    Args:
        store: The publisher's account store.
        decode: Bytes of a program account → driftpy's object.
        start, fetch, stop: What ``subscribe()``, ``fetch()`` and ``unsubscribe()`` do.

    Attributes:
        hits: Reads that were given a value from memory.
        misses: Reads of what is not held.
    """

    def __init__(
        self,
        store: AccountStore,
        decode: Callable[[bytes], Any],
        *,
        start: Callable[[], Awaitable[None]],
        fetch: Callable[[], Awaitable[None]],
        stop: Callable[[], Awaitable[None]],
    ) -> None:
        self._store = store
        self._decode = decode
        self._start, self._fetch, self._stop = start, fetch, stop
        self._decoded: dict[str, tuple[bytes, Any]] = {}
        self._subscribed = False
        self.hits = 0
        self.misses = 0

    async def subscribe(self) -> None:
        """Returns when every account has been read once."""
        if not self._subscribed:
            await self._start()
            self._subscribed = True

    async def fetch(self) -> None:
        """Reads every account again."""
        await self._fetch()

    async def unsubscribe(self) -> None:
        """Ends the subscription."""
        self._subscribed = False
        await self._stop()

    def is_subscribed(self) -> bool:
        """Whether ``subscribe()`` has returned."""
        return self._subscribed

    def get_state_account_and_slot(self) -> DataAndSlot[StateAccount] | None:
        """The State account."""
        return self._account(self._store.profile.state_address)

    def get_perp_market_and_slot(self, market_index: int) -> DataAndSlot[PerpMarketAccount] | None:
        """A perp market by its index."""
        return self._market(MarketKey("perp", market_index))

    def get_spot_market_and_slot(self, market_index: int) -> DataAndSlot[SpotMarketAccount] | None:
        """A spot market by its index."""
        return self._market(MarketKey("spot", market_index))

    def get_market_accounts_and_slots(self) -> list[DataAndSlot[PerpMarketAccount]]:
        """All perp markets, by index."""
        return _present(self.get_perp_market_and_slot(index) for index in sorted(self._store.perp_markets))

    def get_spot_market_accounts_and_slots(self) -> list[DataAndSlot[SpotMarketAccount]]:
        """All spot markets, by index."""
        return _present(self.get_spot_market_and_slot(index) for index in sorted(self._store.spot_markets))

    def get_oracle_price_data_and_slot(self, oracle_id: str) -> DataAndSlot[OraclePriceData] | None:
        """An oracle by driftpy's id: its address and the number of its source."""
        markets = (market for market in self._store.markets() if _oracle_id(market) == oracle_id)
        return self._price(next(markets, None))

    def get_oracle_price_data_and_slot_for_perp_market(self, market_index: int) -> DataAndSlot[OraclePriceData] | None:
        """The oracle of a perp market."""
        return self._price(self._store.perp_markets.get(market_index))

    def get_oracle_price_data_and_slot_for_spot_market(self, market_index: int) -> DataAndSlot[OraclePriceData] | None:
        """The oracle of a spot market."""
        return self._price(self._store.spot_markets.get(market_index))

    def _price(self, market: PerpMarket | SpotMarket | None) -> DataAndSlot[OraclePriceData] | None:
        price = None if market is None else self._store.oracle(market)
        self._count(is_hit=price is not None)
        if market is None or price is None:
            return None
        version = self._store.version(market.oracle)
        data = OraclePriceData(price.price, price.slot, price.confidence, None, None, price.has_sufficient_data_points)
        return DataAndSlot(0 if version is None else version.slot, data)

    def _market(self, key: MarketKey) -> DataAndSlot[Any] | None:
        market = self._store.market(key)
        return self._account(None if market is None else market.pubkey)

    def _account(self, address: str | None) -> DataAndSlot[Any] | None:
        found = None if address is None else self._held(address)
        self._count(is_hit=found is not None)
        return found

    def _held(self, address: str) -> DataAndSlot[Any] | None:
        version = self._store.version(address)
        if version is None or not version.data:
            return None
        known, decoded = self._decoded.get(address, (b"", None))
        if known != version.data:
            decoded = self._decode_or_none(address, version.data)
            self._decoded[address] = (version.data, decoded)
        return None if decoded is None else DataAndSlot(version.slot, decoded)

    def _count(self, *, is_hit: bool) -> None:
        self.hits += is_hit
        self.misses += not is_hit

    def _decode_or_none(self, address: str, data: bytes) -> Any | None:
        try:
            return self._decode(data)
        except (ConstructError, LookupError, ValueError) as error:
            _log.warning("driftpy cannot decode account %s (%s); our own fields stay available", address, error)
            return None


def _oracle_id(market: PerpMarket | SpotMarket) -> str | None:
    source = getattr(OracleSource, market.oracle_source, None)
    return None if source is None else str(get_oracle_id(Pubkey.from_string(market.oracle), source()))


def _present(accounts: Iterable[DataAndSlot[Any] | None]) -> list[DataAndSlot[Any]]:
    return [account for account in accounts if account is not None]
