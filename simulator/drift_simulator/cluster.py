"""The living cluster: all accounts of one program's deployment and the rule by which they change."""

from __future__ import annotations

import random
from typing import Final

from solders.pubkey import Pubkey

from .addresses import synthetic_address
from .administration import amend
from .arithmetic import ONE_DAY
from .blocks import BlockTimes
from .config import SimulatorConfig, SimulatorError
from .drift.users import DEMO_AUTHORITY
from .feeds import Feed, Turns, move
from .funding import FundingSettlement, funding_event
from .ledger import Account, Ledger
from .listings import PerpListing, SpotListing, price_of
from .oracles import Oracle, OraclePrice, multiple_of
from .perps import PerpMarket
from .programs import program_named
from .spots import SpotMarket
from .sysvars import clock_account, is_clock
from .transactions import TransactionLog, funding_transaction

__all__ = ["Cluster", "UnknownMarket"]

_SLOTS_SINCE: Final = 1_600_000_000
_SECONDS_PER_SLOT: Final = 0.4
_QUOTE_FEED: Final = "QuoteAsset"


class UnknownMarket(SimulatorError):
    """No market of that name exists."""


class Cluster:
    """State, markets, oracles and users, all living on one ledger.

    Everything random comes from one generator seeded by ``config.seed``: the same seed, clock and sequence of
    calls give the same bytes.

    Args:
        config: Program, sizes, seed, clock and funding period.

    Attributes:
        program: The program that is simulated.
    """

    def __init__(self, config: SimulatorConfig) -> None:
        self.config = config
        self.program = program_named(config.program)
        self.ledger = Ledger()
        self.transactions = TransactionLog()
        self.blocks = BlockTimes()
        self.perp_markets: list[PerpMarket] = []
        self.spot_markets: list[SpotMarket] = []
        self.oracles: dict[Pubkey, Oracle] = {}
        self._rng = random.Random(config.seed)
        self._feeds: dict[Pubkey | str, Feed] = {}
        self._turns = Turns()
        self.slot = int((config.clock() - _SLOTS_SINCE) / _SECONDS_PER_SLOT)
        self.blocks.note(self.slot, self.now)
        self._state = self.program.idl.account("State").record()
        for spot in self.program.spot_listings(config.spot_markets):
            self._list_spot(spot)
        for perp in self.program.perp_listings(config.perp_markets):
            self._list_perp(perp)
        for number in range(len(self.oracles), config.oracles or 0):
            self._feed(self.program.oracle_address(f"FEED{number}"), "PythLazer", price_of(f"FEED{number}"))
        self._write_state()
        self._put_user(DEMO_AUTHORITY.pubkey())

    @property
    def now(self) -> int:
        """Chain time in whole seconds."""
        return int(self.config.clock())

    @property
    def markets(self) -> list[PerpMarket | SpotMarket]:
        """All markets, perp markets first."""
        return [*self.perp_markets, *self.spot_markets]

    def perp(self, name: str) -> PerpMarket:
        """Return a perp market by name.

        Raises:
            UnknownMarket: There is none.
        """
        for market in self.perp_markets:
            if market.name == name:
                return market
        raise UnknownMarket(f"no perp market {name}")

    def market(self, name: str) -> PerpMarket | SpotMarket:
        """Return a perp or spot market by name.

        Raises:
            UnknownMarket: There is none.
        """
        for market in self.markets:
            if market.name == name:
                return market
        raise UnknownMarket(f"no market {name}")

    def step(self) -> int:
        """Let the next oracle move and its markets follow; return how many accounts changed."""
        feed = self._turns.next(self._feeds.values(), self._rng)
        if feed is None:
            return 0
        changed = 0
        if feed.oracle is not None and not feed.is_invalid:
            move(feed.oracle, self._rng, self.config.clock(), self.slot)
            changed += self.ledger.touch(str(feed.oracle.pubkey), self.slot)
        return changed + self._follow(feed)

    def advance_slot(self, *, keepers: bool = True) -> list[FundingSettlement]:
        """Go one slot on and settle the funding that is due, unless the keepers who crank it are away."""
        self.slot += 1
        self.blocks.note(self.slot, self.now)
        if not keepers:
            return []
        now = self.now
        settled = []
        for market in self.perp_markets:
            if market.funds and market.seconds_until_funding(now) == 0 and self._read(market).price > 0:
                settlement = self._settle(market, now)
                if settlement is not None:
                    settled.append(settlement)
        return settled

    def settle_funding(self, name: str) -> FundingSettlement | None:
        """Settle a perp market's funding now, due or not. None when the program would refuse.

        Raises:
            UnknownMarket: There is no such perp market.
        """
        return self._settle(self.perp(name), self.now)

    def set_oracle_price(self, name: str, price: int) -> None:
        """Set the oracle of a market to a price (1e-6, as the market reads it) and let its markets follow.

        At a price of 0 the oracle is invalid: its markets stay as they are, and it stands until it is set again.

        Raises:
            UnknownMarket: There is no such market.
            SimulatorError: The market's oracle has a constant price, or the price is negative.
        """
        market = self.market(name)
        feed = self._feeds[self._feed_key(market.oracle, market.oracle_source)]
        if feed.oracle is None:
            raise SimulatorError(f"{name} has a quote-asset oracle, its price is 1")
        if price < 0:
            raise SimulatorError(f"a price cannot be negative: {price}")
        raw = feed.oracle.raw_from_price(price, market.oracle_source)
        feed.oracle.base_raw = raw or feed.oracle.base_raw
        feed.oracle.post(raw, raw // 4_000, self.config.clock(), self.slot)
        self.ledger.touch(str(feed.oracle.pubkey), self.slot)
        self._follow(feed)

    def add_perp_market(
        self,
        name: str,
        *,
        price: float,
        index: int | None = None,
        oracle: Pubkey | None = None,
        oracle_source: str = "PythLazer",
        status: str = "Active",
        contract_type: str = "Perpetual",
        tier: str = "Speculative",
        paused_operations: int = 0,
    ) -> PerpMarket:
        """List another perp market while the cluster runs.

        Args:
            name: Its name on chain, at most 32 bytes.
            price: Starting price in USD as the market reads it (for a 1M source: of a million tokens).
            index: Its number; None: the next free one.
            oracle: Its oracle account, which may exist already; None: a new one.
            oracle_source: Variant of OracleSource.
            status: Variant of MarketStatus.
            contract_type: Variant of ContractType.
            tier: Variant of ContractTier.
            paused_operations: The program's bit set.

        Raises:
            SimulatorError: The program reads no price under this source.
            LayoutError: The program has no such status, contract type or tier.
        """
        number = index if index is not None else max(market.index for market in self.perp_markets) + 1
        if oracle is None:
            is_prelaunch = oracle_source == "Prelaunch"
            program = self.program
            oracle = (
                program.prelaunch_oracle_address(number) if is_prelaunch else program.oracle_address(f"perp:{name}")
            )
        listing = PerpListing(
            name, number, oracle, oracle_source, price, status, contract_type, tier, paused_operations
        )
        market = self._list_perp(listing)
        self._write_state()
        return market

    def add_spot_market(
        self,
        name: str,
        *,
        price: float,
        index: int | None = None,
        oracle: Pubkey | None = None,
        oracle_source: str = "PythLazer",
        mint: Pubkey | None = None,
        decimals: int = 6,
        tier: str = "Cross",
    ) -> SpotMarket:
        """List another spot market while the cluster runs; arguments as in :meth:`add_perp_market`."""
        number = index if index is not None else max(market.index for market in self.spot_markets) + 1
        if oracle is None:
            oracle = Pubkey.default() if oracle_source == _QUOTE_FEED else self.program.oracle_address(f"spot:{name}")
        token = mint or synthetic_address(f"mint:{name}")
        market = self._list_spot(SpotListing(name, number, oracle, oracle_source, price, token, decimals, tier))
        self._write_state()
        return market

    def change_oracle(self, name: str, oracle: Pubkey, oracle_source: str, *, price: float | None = None) -> None:
        """Move a market to another oracle account, as an admin instruction would.

        Args:
            name: Perp or spot market.
            oracle: The account; created when it does not exist.
            oracle_source: Variant of OracleSource.
            price: Price of a new oracle in USD as the market reads it; None: the market's last price.

        Raises:
            UnknownMarket: There is no such market.
            SimulatorError: The program reads no price under this source.
        """
        market = self.market(name)
        current = market.record["historical_oracle_data.last_oracle_price"] / 1e6
        feed = self._feed(oracle, oracle_source, price if price is not None else current, market.index)
        for other in self._feeds.values():
            other.perps = [entry for entry in other.perps if entry is not market]
            other.spots = [entry for entry in other.spots if entry is not market]
        market.set_oracle(oracle, oracle_source)
        (feed.perps if isinstance(market, PerpMarket) else feed.spots).append(market)  # type: ignore[arg-type]
        self._follow(feed)

    def administer(
        self,
        market: PerpMarket | SpotMarket,
        *,
        name: str | None = None,
        status: str | None = None,
        funding_period_s: int | None = None,
    ) -> None:
        """Change what an admin may change of a market while the cluster runs; arguments as of :func:`amend`.

        A market is given itself, not by its name: two may have the same.

        Raises:
            SimulatorError: The account cannot hold it.
            LayoutError: The program has no such status.
        """
        amend(market, name=name, status=status, funding_period_s=funding_period_s)
        self.ledger.touch(str(market.pubkey), self.slot)

    def add_user(self, authority: Pubkey) -> Pubkey:
        """Create the accounts of an authority's user, sub-account 0; return the user's address.

        Raises:
            SimulatorError: Users of this program are not simulated.
        """
        created = self._put_user(authority)
        if not created:
            raise SimulatorError(f"{self.program.name} is simulated without users")
        return created[0]

    def sysvar(self, address: str) -> Account | None:
        """Return a sysvar as it reads now, or None where the address is of none."""
        return clock_account(self.slot, self.now) if is_clock(address) else None

    def _put_user(self, authority: Pubkey) -> list[Pubkey]:
        accounts = self.program.user_accounts(authority, self.slot, self.now)
        for pubkey, record in accounts:
            self.ledger.put(pubkey, record.buffer, self.program.program_id, self.slot)
        return [pubkey for pubkey, _ in accounts]

    def _settle(self, market: PerpMarket, now: int) -> FundingSettlement | None:
        if market.record["funding_period"] > ONE_DAY:
            return None  # the program divides by the periods of a day, which are none
        settlement = market.settle(self._read(market), now)
        if settlement is None or not self.ledger.touch(str(market.pubkey), self.slot):
            return None
        made_at = self.blocks.at(self.slot)
        if made_at is None:
            made_at = now
            self.blocks.note(self.slot, now)
        self.transactions.land(
            funding_transaction(
                program=self.program.program_id,
                state=self.program.state_address,
                market=market.pubkey,
                oracle=market.oracle,
                market_index=market.index,
                event=funding_event(settlement, self.program.idl),
                slot=self.slot,
                block_time=made_at,
            )
        )
        return settlement

    def _read(self, market: PerpMarket | SpotMarket) -> OraclePrice:
        if market.oracle_source == _QUOTE_FEED:
            return OraclePrice(1_000_000, 1, 0)
        return self.oracles[market.oracle].read(market.oracle_source, self.slot)

    def _follow(self, feed: Feed) -> int:
        changed, now = 0, self.now
        if feed.is_invalid:
            return 0
        for perp in feed.perps:
            if not perp.is_frozen:
                perp.follow(self._read(perp), now, self.slot)
                changed += self.ledger.touch(str(perp.pubkey), self.slot)
        for spot in feed.spots:
            spot.follow(self._read(spot), now)
            changed += self.ledger.touch(str(spot.pubkey), self.slot)
        return changed

    def _feed_key(self, oracle: Pubkey, source: str) -> Pubkey | str:
        return _QUOTE_FEED if source == _QUOTE_FEED else oracle

    def _feed(self, pubkey: Pubkey, source: str, price: float, perp_index: int = 0) -> Feed:
        key = self._feed_key(pubkey, source)
        if source != _QUOTE_FEED:
            self.program.check_source(source)
        if key not in self._feeds:
            oracle = None
            if source != _QUOTE_FEED:
                unit_price = price / multiple_of(source)
                oracle = self.program.oracle(pubkey, source, unit_price, perp_market_index=perp_index)
                oracle.post(oracle.raw, oracle.confidence_raw, self.config.clock(), self.slot)
                self.oracles[pubkey] = oracle
                self.ledger.put(pubkey, oracle.data, oracle.owner, self.slot)
            self._feeds[key] = Feed(oracle)
        return self._feeds[key]

    def _list_perp(self, listing: PerpListing) -> PerpMarket:
        feed = self._feed(listing.oracle, listing.oracle_source, listing.price, listing.index)
        market = self.program.perp_market(listing, self.config, self._rng)
        market.start(self._read(market), self.now, self.slot)
        feed.perps.append(market)
        self.perp_markets.append(market)
        self.ledger.put(market.pubkey, market.record.buffer, self.program.program_id, self.slot)
        return market

    def _list_spot(self, listing: SpotListing) -> SpotMarket:
        feed = self._feed(listing.oracle, listing.oracle_source, listing.price)
        market = self.program.spot_market(listing, self._rng)
        market.start(self._read(market), self.now)
        feed.spots.append(market)
        self.spot_markets.append(market)
        self.ledger.put(market.pubkey, market.record.buffer, self.program.program_id, self.slot)
        return market

    def _write_state(self) -> None:
        # The program numbers markets in a row, so its counts are the next free index even where we list a few only.
        perps, spots = (1 + max(market.index for market in held) for held in (self.perp_markets, self.spot_markets))
        self.program.fill_state(self._state, self.config, perp_markets=perps, spot_markets=spots)
        self.ledger.put(self.program.state_address, self._state.buffer, self.program.program_id, self.slot)
