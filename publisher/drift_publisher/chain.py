"""The chain as one object: the program's client, its store, and the source that feeds it."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from typing import Final, Literal, Self

from drift_publisher.endpoints import EndpointPool
from drift_publisher.errors import AccountRefused, RpcUnavailable, SettingsError, UnknownMarket
from drift_publisher.lag import LagLimits, lag_of
from drift_publisher.polling import Poller
from drift_publisher.profile import AnyProfile, Lifecycle
from drift_publisher.rpc import RpcClient, RpcRefused
from drift_publisher.selection import Selection
from drift_publisher.source import AccountUpdate, Deliver, Source, SourceStatus, Subscriptions, Tap
from drift_publisher.store import AccountStore, Touched
from drift_publisher.websocket import WebSocketSource

__all__ = ["Chain"]

_log = logging.getLogger(__name__)
SIMULATED: Final = "simulated"
UNKNOWN: Final = "unknown"
SIMULATED_GENESIS: Final = "62bsvVUX3hLFJxRQB5A1sua6N58qxZZSpXkNEHj7xL68"
_CLUSTERS: Final = {
    "5eykt4UsFv8P8NJdTREpY1vzqKqZKvdpKuc147dw2N9d": "mainnet-beta",
    "EtWTRABZaYq6iMfeYKouRu166VU2xqa1wcaWoxPkrZBG": "devnet",
    "4uhcVJyU9pJkvQyS88uRDiswHScCKQY3XCNCKRGdeM7v": "testnet",
    SIMULATED_GENESIS: SIMULATED,
}
_POLL_AFTER_S: Final = 3.0
_MISSED_POLLS: Final = 3
_RETURN_LOOK_S: Final = 1.0
_LISTINGS_LOOK_S: Final = 0.5
_LISTINGS_EVERY_S: Final = 60.0


class Chain:
    """One client of the program whose accounts come over one socket, or by polling where sockets are refused.

    Args:
        profile: The program.
        pool: The endpoints.
        rpc: Their HTTP side.
        markets: The markets to follow, as of :class:`~drift_publisher.selection.Selection`; empty follows all.
        mode: ``websocket`` polls only while no socket can be had; ``polling`` opens none.
        poll_every_s: Pause between two reads while polling.
        silence_s: Longest time without a new slot.
        quiet_s: Shortest silence of one subscription that is looked into.
        limits: How far a node may lag.
        on_update: Called with what each update touched.

    Attributes:
        genesis: The node's genesis hash, once :meth:`cluster` has asked; ``None`` where it does not tell.
        cluster_name: What :meth:`cluster` returned.
        mode: As given.
        commitment: Solana commitment of everything that is read and subscribed.
    """

    def __init__(
        self,
        profile: AnyProfile,
        pool: EndpointPool,
        rpc: RpcClient,
        *,
        markets: Sequence[str],
        mode: Literal["websocket", "polling"],
        poll_every_s: float,
        silence_s: float,
        quiet_s: float,
        limits: LagLimits,
        on_update: Callable[[Touched], None],
    ) -> None:
        self.profile = profile
        self.commitment = rpc.commitment
        self.pool = pool
        self.selection = Selection(markets)
        self.store = AccountStore(profile, selection=self.selection)
        self.status = SourceStatus(silence_s=max(silence_s, _MISSED_POLLS * poll_every_s))
        if mode == "polling":
            self.status.reason = ""
        self._rpc = rpc
        self._limits = limits
        self.mode = mode
        self._on_update = on_update
        self._live_at = time.monotonic()
        self._websocket = WebSocketSource(pool, rpc, self.status, self._addresses, limits, quiet_s)
        self._poller = Poller(
            rpc,
            self.status,
            self._addresses,
            self._deliver_discovered,
            every_s=poll_every_s,
            wanted=self._should_poll,
            lag=self._lag,
        )
        self.genesis: str | None = None
        self.cluster_name = UNKNOWN
        self._tap: Tap | None = None
        self.client = profile.open_client(
            self.store, pool.endpoints[0], Lifecycle(self._start, self._fetch, self._stop)
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.client.close()

    async def cluster(self, claimed: str | None) -> str:
        """What events say in ``cluster``: what the node's genesis hash proves, else what is claimed, else ``unknown``.

        Raises:
            SettingsError: the node serves simulated data and ``claimed`` says otherwise.
        """
        try:
            self.genesis = genesis = await self._rpc.genesis_hash()
        except (RpcRefused, RpcUnavailable) as untold:
            self.cluster_name = claimed or UNKNOWN
            what = "as set" if claimed else "set cluster (DRIFT_BUS_CLUSTER) to name it"
            _log.warning("%s; events say cluster %r: %s", untold, self.cluster_name, what)
            return self.cluster_name
        known = _CLUSTERS.get(genesis)
        if known == SIMULATED and claimed not in (None, SIMULATED):
            raise SettingsError(f"the RPC node serves simulated data, which cannot be published as {claimed!r}")
        self.cluster_name = claimed or known or f"unknown-{genesis[:8]}"
        return self.cluster_name

    def tap(self, tap: Tap | None) -> None:
        """Lets ``tap`` hear every account and slot that the source tells from now on; ``None`` ends it."""
        self._tap = tap
        self.status.on_slot = None if tap is None else tap.slot

    async def run(self) -> None:
        """Feeds the store from the source, until cancelled."""
        self._live_at = time.monotonic()
        async with asyncio.TaskGroup() as tasks:
            for name, source in self._sources().items():
                tasks.create_task(source.run(self._deliver), name=name)
            tasks.create_task(self._return_to_first_endpoint(), name="endpoint-return")
            if self.selection and self.mode != "polling":
                tasks.create_task(self._look_for_listings(), name="listings")

    async def _look_for_listings(self) -> None:
        """A market that is not followed may take a name that is wanted: no subscription tells of it.

        The State counts the markets, so that a new one is looked for at once, and a renamed one now and then.
        """
        counted, look_at = self._counted(), time.monotonic() + _LISTINGS_EVERY_S
        while True:
            await asyncio.sleep(_LISTINGS_LOOK_S)
            if self._counted() == counted and time.monotonic() < look_at:
                continue
            seen = self._counted()
            try:
                await self._deliver_discovered(self._deliver)
            except (RpcUnavailable, RpcRefused) as error:
                _log.warning("markets that were listed or renamed could not be looked for: %s", error)
            else:
                counted = seen
            look_at = time.monotonic() + _LISTINGS_EVERY_S

    def _counted(self) -> tuple[int, int]:
        state = self.store.state
        return (0, 0) if state is None else (state.number_of_markets, state.number_of_spot_markets)

    def _sources(self) -> dict[str, Source]:
        if self.mode == "polling":
            return {"poller": self._poller}
        return {"websocket": self._websocket, "poller": self._poller}

    def _should_poll(self) -> bool:
        """Polling is the mode, or no socket has been live for a while."""
        if self.status.state == "live":
            self._live_at = time.monotonic()
        return self.mode == "polling" or time.monotonic() - self._live_at > _POLL_AFTER_S

    async def _lag(self) -> str:
        endpoint = self.pool.current
        slot = await self._rpc.slot(endpoint)
        return "" if slot is None else await lag_of(self._rpc, self.pool, endpoint, slot, self._limits)

    async def _return_to_first_endpoint(self) -> None:
        while True:
            await asyncio.sleep(_RETURN_LOOK_S)
            if self.pool.should_try_first:
                slot = await self._rpc.slot(self.pool.endpoints[0])
                self.pool.try_first(is_back=slot is not None and slot + self._limits.slots >= self.status.slot)

    async def _start(self) -> None:
        """Reads every account once; raises what keeps the publisher from starting."""
        for update in await self._discover_markets():
            self._read_in(update)
        if missing := self.selection.missing(self.store.seen.items()):
            raise UnknownMarket(missing)
        if not self.store.perp_markets and not self.store.spot_markets:
            raise RpcUnavailable(f"{self._rpc.name} serves no market of {self.profile.name}: is it the right cluster?")
        await self._fetch()
        self._follow()

    async def _discover_markets(self) -> list[AccountUpdate]:
        """All markets of the program; by index where the provider does not serve ``getProgramAccounts``."""
        profile = self.profile
        try:
            perps = await self._rpc.program_accounts(profile.program_id, profile.perp_market.discriminator)
            return perps + await self._rpc.program_accounts(profile.program_id, profile.spot_market.discriminator)
        except (RpcRefused, RpcUnavailable) as refused:
            _log.info("%s; reading the markets by their indexes", refused)
        await self._refresh([profile.state_address])
        if self.store.state is None:
            raise RpcUnavailable(f"{self._rpc.name} has no State account of {profile.name}")
        addresses = profile.market_addresses(self.store.state)
        return [update for update in await self._rpc.accounts(addresses) if update.data is not None]

    async def _deliver_discovered(self, deliver: Deliver) -> None:
        for update in await self._discover_markets():
            deliver(update)

    async def _refresh(self, addresses: Sequence[str]) -> None:
        for update in await self._rpc.accounts(addresses):
            self._read_in(update)

    def _read_in(self, update: AccountUpdate) -> None:
        if self._tap is not None:
            self._tap.account(update)
        self.store.apply(update)

    async def _fetch(self) -> None:
        await self._refresh(self._addresses())

    async def _stop(self) -> None:
        self._websocket.follow(Subscriptions())

    def _deliver(self, update: AccountUpdate) -> None:
        if self._tap is not None:
            self._tap.account(update)
        if self.status.is_from_the_future(update.slot):
            ahead = f"slot {update.slot} while the chain is at {self.status.slot}"
            self.store.report(update.address, AccountRefused("slot from the future", ahead))
            return
        touched = self.store.apply(update)
        if touched.new_oracles or touched.unused_oracles or (touched.is_listing and self.selection):
            self._follow()
        if touched.markets or touched.by_oracle:
            self._on_update(touched)

    def _follow(self) -> None:
        self._websocket.follow(self.subscriptions())

    def subscriptions(self) -> Subscriptions:
        """What is subscribed beside the slots: the markets by program or one by one, the State, every oracle."""
        single = (self.profile.state_address, *self.store.oracles())
        if self.selection:
            return Subscriptions(accounts=(*single, *self.store.market_addresses()))
        layouts = (self.profile.perp_market, self.profile.spot_market)
        return Subscriptions(tuple((self.profile.program_id, layout.discriminator) for layout in layouts), single)

    def _addresses(self) -> Sequence[str]:
        return [self.profile.state_address, *self.store.market_addresses(), *self.store.oracles()]
