"""The account store: the newest good version of every account, and which markets an update touches."""

from __future__ import annotations

import logging
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from typing import Any, Final, NamedTuple

from drift_publisher.accounts import Market, OraclePrice, PerpMarket, SpotMarket, State
from drift_publisher.errors import AccountRefused
from drift_publisher.market_names import MarketKey, MarketNames
from drift_publisher.oracles import QUOTE_ASSET_PRICE, read_oracle
from drift_publisher.profile import AnyProfile
from drift_publisher.profiles import owner_name
from drift_publisher.selection import Selection
from drift_publisher.source import AccountUpdate

__all__ = ["AccountStore", "MarketKey", "Touched", "Versioned"]

_log = logging.getLogger(__name__)


class Versioned(NamedTuple):
    """An account as it was last reported; ``data`` is empty where the account does not exist."""

    slot: int
    received_ns: int
    owner: str
    data: bytes
    was_read: bool = False


class Touched(NamedTuple):
    """What an update means for the markets; nothing, where only fields changed that we do not read.

    Attributes:
        markets: Their own account changed, or their name on the bus, or they are not held any more.
        by_oracle: Their oracle's account changed.
        new_oracles: Oracles that a market now names and that nobody follows yet.
        unused_oracles: Oracles that no market names any more.
        is_listing: Another market is held than before.
    """

    markets: tuple[MarketKey, ...] = ()
    by_oracle: tuple[MarketKey, ...] = ()
    new_oracles: tuple[str, ...] = ()
    unused_oracles: tuple[str, ...] = ()
    is_listing: bool = False


_NOTHING = Touched()
_NO_ACCOUNT: Final = "QuoteAsset"


class AccountStore:
    """Holds accounts by address; refuses, counts and reports once what is not what it should be.

    Args:
        profile: The program whose accounts these are.
        selection: The markets to hold.

    Attributes:
        refused: Refusals by reason.
        names: The markets' names on the bus.
        seen: On-chain names of all markets that were reported, held or not.
    """

    def __init__(self, profile: AnyProfile, *, selection: Selection | None = None) -> None:
        self.profile = profile
        self.refused: Counter[str] = Counter()
        self.perp_markets: dict[int, PerpMarket] = {}
        self.spot_markets: dict[int, SpotMarket] = {}
        self.state: State | None = None
        self.names = MarketNames()
        self.seen: dict[MarketKey, str] = {}
        self._selection = selection or Selection()
        self._state_alone = (profile.state_address,)
        self._versions: dict[str, Versioned] = {}
        self._prices: defaultdict[str, dict[str, OraclePrice | None]] = defaultdict(dict)
        self._users: defaultdict[str, set[MarketKey]] = defaultdict(set)
        self._reported: set[tuple[str, str]] = set()
        self._doubtful: dict[str, int] = {}

    def apply(self, update: AccountUpdate) -> Touched:
        """Takes an update in, or refuses it; never raises for what the chain sent."""
        known = self._versions.get(update.address)
        if update.was_read and known is not None and not known.was_read and update.slot <= known.slot:
            return _NOTHING
        newest = max(known.slot if known else 0, self._doubtful.get(update.address, 0))
        if update.slot < newest:
            went_back = f"slot {update.slot} after slot {newest}"
            self.report(update.address, AccountRefused("slot went backwards", went_back))
            return _NOTHING
        if update.address in self._users:
            return self._apply_oracle(update, known)
        if known is None and self._is_an_oracle_of_nobody(update):
            return _NOTHING
        if update.data is None:
            return self._refuse(update, AccountRefused("missing", "the account does not exist"))
        if known is not None and (update.owner, update.data) == (known.owner, known.data):
            self._versions[update.address] = _versioned(update)
            self._doubtful.pop(update.address, None)
            return _NOTHING
        try:
            touched = self._apply_program_account(update, update.data)
        except AccountRefused as refused:
            return self._refuse(update, refused)
        self._doubtful.pop(update.address, None)
        return touched

    def begin_history(self) -> None:
        """Slots start over: from each account the next report is the newest, whatever its slot."""
        self._versions = {address: held._replace(slot=0, was_read=True) for address, held in self._versions.items()}
        self._doubtful = dict.fromkeys(self._doubtful, 0)

    def report(self, address: str, refused: AccountRefused) -> None:
        """Counts a refusal, and logs the first of its kind for this account."""
        self.refused[refused.reason] += 1
        if (address, refused.reason) not in self._reported:
            self._reported.add((address, refused.reason))
            role = self._role(address)
            fields = {"account": address, "reason": refused.reason, "market": self._market_names(address)}
            _log.warning("account %s (%s): refused, %s: %s", address, role, refused.reason, refused, extra=fields)

    def oracle(self, market: Market) -> OraclePrice | None:
        """The market's oracle reading; ``None`` where its account is missing or was refused."""
        if market.oracle_source == _NO_ACCOUNT:
            return QUOTE_ASSET_PRICE
        readings, source = self._prices[market.oracle], market.oracle_source
        if source not in readings:
            readings[source] = self._read_oracle(market.oracle, source)
        return readings[source]

    def oracle_was_read(self, market: Market) -> bool:
        """The market's oracle account was reported at least once, be it as missing."""
        return market.oracle in self._versions or market.oracle_source == _NO_ACCOUNT

    def is_doubtful(self, address: str) -> bool:
        """The account's newest report was refused: what is held is older, and must not be confirmed."""
        return address in self._doubtful

    def version(self, address: str) -> Versioned | None:
        """The newest good version of an account."""
        return self._versions.get(address)

    def market(self, key: MarketKey) -> Market | None:
        """The market's decoded account."""
        return self._held(key).get(key.market_index)

    def oracles(self) -> tuple[str, ...]:
        """Addresses of all oracle accounts that the markets name."""
        return tuple(address for address, users in self._users.items() if users)

    def behind(self, market: Market) -> tuple[str, ...]:
        """Addresses of the accounts that a market's values rest on."""
        return (market.pubkey, *self.beside(market))

    def beside(self, market: Market) -> tuple[str, ...]:
        """Those of them that are not the market's own."""
        return self._state_alone if market.oracle_source == _NO_ACCOUNT else (market.oracle, *self._state_alone)

    def oracle_discriminators(self, address: str) -> frozenset[bytes]:
        """What the oracle's account begins with by each market that names it; empty bytes for a foreign program's."""
        markets = (self.market(key) for key in self._users.get(address, ()))
        return frozenset(self.profile.own_oracles(market.oracle_source) for market in markets if market is not None)

    def market_keys(self) -> tuple[MarketKey, ...]:
        """Keys of all markets held, perp markets first."""
        perps = (MarketKey("perp", index) for index in self.perp_markets)
        return (*perps, *(MarketKey("spot", index) for index in self.spot_markets))

    def markets(self) -> Iterator[Market]:
        """All markets held, perp markets first."""
        yield from self.perp_markets.values()
        yield from self.spot_markets.values()

    def items(self) -> Iterator[tuple[MarketKey, Market]]:
        """All markets held with their keys, perp markets first."""
        return zip(self.market_keys(), self.markets(), strict=True)

    def market_addresses(self) -> tuple[str, ...]:
        """Addresses of all markets held."""
        return tuple(market.pubkey for market in self.markets())

    def market_names(self) -> tuple[str, ...]:
        """Names on the bus of all markets held, perp markets first, by index."""
        return tuple(self.names[key] for key in sorted(self.market_keys()))

    def stale_oracles(self) -> Iterable[str]:
        """Names on the bus of the markets whose oracle cannot be read."""
        return (self.names[key] for key, market in self.items() if self.oracle(market) is None)

    def _apply_program_account(self, update: AccountUpdate, data: bytes) -> Touched:
        profile = self.profile
        if update.owner != profile.program_id:
            raise AccountRefused("owner", f"owned by {owner_name(update.owner)}, not by {profile.name}")
        discriminator = data[:8]
        if discriminator == profile.perp_market.discriminator:
            perp = profile.perp_market.read(data)
            self._check_identity(update.address, perp, profile.perp_market_address(perp.market_index))
            return self._apply_market(update, MarketKey("perp", perp.market_index), perp)
        if discriminator == profile.spot_market.discriminator:
            spot = profile.spot_market.read(data)
            self._check_identity(update.address, spot, profile.spot_market_address(spot.market_index))
            return self._apply_market(update, MarketKey("spot", spot.market_index), spot)
        if update.address == profile.state_address:
            self.state = profile.state.read(data)
            self._versions[update.address] = _versioned(update)
            return Touched(markets=self.market_keys())
        raise AccountRefused("discriminator", f"an account that begins with {discriminator.hex() or 'nothing'}")

    def _is_an_oracle_of_nobody(self, update: AccountUpdate) -> bool:
        """The program owns oracles that no market names; they come with the others by one subscription."""
        is_own = update.owner == self.profile.program_id
        return is_own and (update.data or b"")[:8] in self.profile.own_oracle_discriminators

    def _held(self, key: MarketKey) -> dict[int, Any]:
        return self.perp_markets if key.type == "perp" else self.spot_markets

    def _check_identity(self, address: str, market: Market, expected: str) -> None:
        if not address == market.pubkey == expected:
            raise AccountRefused(
                "identity", f"it says it is market {market.market_index} at {market.pubkey}, which is at {expected}"
            )

    def _apply_market(self, update: AccountUpdate, key: MarketKey, market: Market) -> Touched:
        self.seen[key] = market.name
        if not self._selection.wants(key, market.name):
            return self._let_go(key)
        before = self.market(key)
        self._versions[update.address] = _versioned(update)
        if before == market:
            return _NOTHING
        self._held(key)[key.market_index] = market
        moved = self._claim_name(key, market)
        unused = self._leave_oracle(key, before, market)
        new = self._follow_oracle(key, market)
        return Touched((key, *moved), new_oracles=new, unused_oracles=unused, is_listing=before is None)

    def _claim_name(self, key: MarketKey, market: Market) -> tuple[MarketKey, ...]:
        """Claims the market's name; returns the others whose name on the bus that changes."""
        before = self.names.clashes.get(market.name, ())
        moved = self.names.claim(key, market.name, market.status)
        if refused := set(self.names.clashes.get(market.name, ())) - set(before):
            self.refused["name"] += len(refused)
        return moved

    def _let_go(self, key: MarketKey) -> Touched:
        """Forgets a market that was renamed to what nobody wants."""
        market = self._held(key).pop(key.market_index, None)
        if market is None:
            return _NOTHING
        self._versions.pop(market.pubkey, None)
        moved = self.names.drop(key)
        return Touched((key, *moved), unused_oracles=self._leave_oracle(key, market, None), is_listing=True)

    def _leave_oracle(self, key: MarketKey, before: Market | None, market: Market | None) -> tuple[str, ...]:
        if before is None or before.oracle_source == _NO_ACCOUNT:
            return ()
        if market is not None and market.oracle == before.oracle and market.oracle_source != _NO_ACCOUNT:
            return ()
        self._users[before.oracle].discard(key)
        if self._users[before.oracle]:
            return ()
        self._versions.pop(before.oracle, None)  # nobody tells of it any more, so it would only grow old
        self._prices.pop(before.oracle, None)
        return (before.oracle,)

    def _follow_oracle(self, key: MarketKey, market: Market) -> tuple[str, ...]:
        if market.oracle_source == _NO_ACCOUNT:
            return ()
        is_new = not self._users[market.oracle]
        self._users[market.oracle].add(key)
        return (market.oracle,) if is_new else ()

    def _apply_oracle(self, update: AccountUpdate, known: Versioned | None) -> Touched:
        if not self._users[update.address]:
            return _NOTHING
        changed = known is None or (known.owner, known.data) != (update.owner, update.data or b"")
        self._versions[update.address] = _versioned(update)
        if not changed:
            return _NOTHING
        self._prices.pop(update.address, None)
        return Touched(by_oracle=tuple(sorted(self._users[update.address])))

    def _read_oracle(self, address: str, source: str) -> OraclePrice | None:
        version = self._versions.get(address)
        format_ = self.profile.oracle_formats.get(source)
        try:
            if version is None or not version.data:
                raise AccountRefused("oracle missing", "the oracle account does not exist")
            if format_ is None:
                raise AccountRefused("oracle source", f"oracle source {source} is unknown to {self.profile.name}")
            return read_oracle(format_, version.owner, version.data)
        except AccountRefused as refused:
            self.report(address, refused)
            return None

    def _refuse(self, update: AccountUpdate, refused: AccountRefused) -> Touched:
        self._doubtful[update.address] = update.slot
        self.report(update.address, refused)
        return _NOTHING

    def _role(self, address: str) -> str:
        return f"oracle of {self._market_names(address)}" if self._users.get(address) else self.profile.name

    def _market_names(self, address: str) -> str:
        """The markets whose account or oracle it is."""
        if users := self._users.get(address):
            return ", ".join(name for key in sorted(users) if (name := self.names.get(key)))
        return ", ".join(self.names[key] for key, market in self.items() if market.pubkey == address)


def _versioned(update: AccountUpdate) -> Versioned:
    return Versioned(update.slot, update.received_ns, update.owner, update.data or b"", update.was_read)
