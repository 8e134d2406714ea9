"""driftpy's ``DriftClient`` over our account store: full driftpy objects are decoded when somebody asks."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import httpx
from anchorpy.program.core import Program
from construct import ConstructError
from driftpy.account_subscription_config import AccountSubscriptionConfig
from driftpy.accounts.types import DataAndSlot, DriftClientAccountSubscriber
from driftpy.drift_client import DriftClient
from driftpy.oracles.oracle_id import get_oracle_id
from driftpy.types import OraclePriceData, OracleSource
from solana.rpc.async_api import AsyncClient
from solders.keypair import Keypair
from solders.pubkey import Pubkey

from drift_publisher.accounts import Market, OraclePrice
from drift_publisher.endpoints import Endpoint
from drift_publisher.http_transport import BudgetTransport
from drift_publisher.profile import Lifecycle
from drift_publisher.store import AccountStore
from drift_publisher.store_subscriber import StoreSubscriber

__all__ = ["StoreDriftClient", "StoreDriftSubscriber"]

_log = logging.getLogger(__name__)


class StoreDriftClient(DriftClient):
    """A ``DriftClient`` whose accounts are the store's; what it asks of the endpoint itself goes through the budget."""

    account_subscriber: StoreDriftSubscriber

    def __init__(self, store: AccountStore, endpoint: Endpoint, lifecycle: Lifecycle) -> None:
        connection = AsyncClient(endpoint.http_url)
        connection._provider.session = httpx.AsyncClient(transport=BudgetTransport(endpoint))
        config = _StoreSubscription(
            lambda program: StoreDriftSubscriber(store, lifecycle, program.coder.accounts.decode)
        )
        super().__init__(connection, Keypair(), account_subscription=config, sub_account_ids=[])

    async def close(self) -> None:
        """Closes the HTTP connection to the endpoint."""
        await self.connection.close()


class StoreDriftSubscriber(StoreSubscriber, DriftClientAccountSubscriber):
    """The store in driftpy's own types.

    Args:
        store, lifecycle: As for every program.
        decode: Bytes of a program account → driftpy's object.
    """

    def __init__(self, store: AccountStore, lifecycle: Lifecycle, decode: Callable[[bytes], Any]) -> None:
        super().__init__(store, lifecycle)
        self._decode = decode
        self._decoded: dict[str, tuple[bytes, Any]] = {}

    def _account(self, address: str) -> DataAndSlot[Any] | None:
        version = self._store.version(address)
        if version is None or not version.data:
            return None
        known, decoded = self._decoded.get(address, (b"", None))
        if known != version.data:
            decoded = self._decode_or_none(address, version.data)
            self._decoded[address] = (version.data, decoded)
        return None if decoded is None else DataAndSlot(version.slot, decoded)

    def _price_data(self, slot: int, price: OraclePrice) -> DataAndSlot[OraclePriceData]:
        data = OraclePriceData(price.price, price.slot, price.confidence, None, None, price.has_sufficient_data_points)
        return DataAndSlot(slot, data)

    def _oracle_id(self, market: Market) -> str | None:
        source = getattr(OracleSource, market.oracle_source, None)
        return None if source is None else str(get_oracle_id(Pubkey.from_string(market.oracle), source()))

    def _decode_or_none(self, address: str, data: bytes) -> Any | None:
        try:
            return self._decode(data)
        except (ConstructError, LookupError, ValueError) as error:
            _log.warning("driftpy cannot decode account %s (%s); our own fields stay available", address, error)
            return None


class _StoreSubscription(AccountSubscriptionConfig):
    """driftpy's subscription setting, with our subscriber behind it."""

    def __init__(self, make: Callable[[Program], StoreDriftSubscriber]) -> None:
        super().__init__("websocket")
        self._make = make

    def get_drift_client_subscriber(self, program: Program, *_: object) -> StoreDriftSubscriber:
        return self._make(program)
