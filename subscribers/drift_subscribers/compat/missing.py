"""What old code asks for and the bus does not have: an error that names it, and says what to use instead."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NoReturn

__all__ = ["OnlyMarketData", "OnlyPublished"]

_RESERVES: Final = "use DriftFeed.price(name).mark_price, bid_price and ask_price"
_TRADING: Final = "this reads market data only; keep a driftpy DriftClient for accounts, orders and signing"
_CONNECTION: Final = "an engine has no RPC connection: the publisher owns it (DRIFT_BUS_RPC_URL)"
_SUBSCRIBED: Final = "nothing is to be subscribed: what get_client() returns, or connect() opened, is up to date"
_CLIENT: Final = "use DriftClientManager.get_client()"
_REMEDIES: Final = {
    "twap": "use get_perp_market_account(index).amm.historical_oracle_data.last_oracle_price_twap",
    "peg_multiplier": _RESERVES,
    "base_asset_reserve": _RESERVES,
    "quote_asset_reserve": _RESERVES,
    "get_perp_market_accounts": "use DriftClientManager.get_all_perp_markets()",
    "get_spot_market_account": "use DriftFeed.spot(name)",
    "get_oracle_price_data_for_spot_market": "use DriftFeed.price(name)",
    "unsubscribe": "use DriftClientManager.release_client()",
    "subscribe": _SUBSCRIBED,
    "is_subscribed": _SUBSCRIBED,
    "client": _CLIENT,
    "drift_client": _CLIENT,
}
_ABOUT: Final = (
    (_CONNECTION, ("rpc", "ws_url", "connection", "provider", "program", "account_subscriber")),
    (_TRADING, ("wallet", "keypair", "authority", "trading", "sub_account", "active_sub_account", "tx_", "user")),
    (_TRADING, ("get_account", "get_position", "get_balance", "get_collateral", "get_free_collateral", "get_leverage")),
    (_TRADING, ("get_health", "get_open_orders", "get_order", "get_user", "initialize_user", "add_user", "deposit")),
    (_TRADING, ("withdraw", "place_", "cancel_", "modify_", "settle_", "open_position", "close_position", "send_")),
)
"""Remedies by how a name begins."""
_DEFAULT_REMEDY: Final = "use DriftFeed's events (docs/migration.md lists what they carry), or a driftpy DriftClient"


def _absent(owner: str, name: str, of: object) -> AttributeError:
    begins = (remedy for remedy, beginnings in _ABOUT if name.startswith(beginnings))
    remedy = _REMEDIES.get(name) or next(begins, _DEFAULT_REMEDY)
    return AttributeError(f"{owner}.{name} is not published on the bus: {remedy}", name=name, obj=of)


class OnlyPublished:
    """Names what is not there, and what to use instead, where an attribute is missing."""

    __slots__ = ()

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> NoReturn:
            raise _absent(type(self).__name__, name, self)


class OnlyMarketData(type):
    """The same for attributes of a class, whose methods are class methods."""

    if not TYPE_CHECKING:

        def __getattr__(cls, name: str) -> NoReturn:
            raise _absent(cls.__name__, name, cls)
