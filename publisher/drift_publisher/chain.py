"""The chain as one object: the program's client, its store, and the source that feeds it."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from typing import Final, Literal, Self

from drift_publisher.endpoints import EndpointPool
from drift_publisher.errors import AccountRefused, RpcUnavailable, SettingsError, UnknownMarket
from drift_publisher.heard import HeardAccounts
from drift_publisher.interests import subscriptions_to
from drift_publisher.lag import LagLimits
from drift_publisher.polling import Poller
from drift_publisher.profile import AnyProfile, Lifecycle
from drift_publisher.proof import NodeJudge
from drift_publisher.rereading import Rereader
from drift_publisher.rpc import RpcClient, RpcRefused
from drift_publisher.selection import Selection
from drift_publisher.source import AccountUpdate, Source, SourceStatus, Subscriptions, Tap
from drift_publisher.store import AccountStore, Touched
from drift_publisher.websocket import WebSocketSource
from drift_schemas.access import end

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
        ping_s: How often a socket's client sends a ping, in seconds.
        start_timeout_s: How long each request of the start keeps trying.
        on_update: Called with what each update touched.

    Attributes:
        heard: When each account was last told of by a proven node.
        history: Names the history of slots in which the chain is; empty in the first.
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
        ping_s: float = 15.0,
        start_timeout_s: float = 20.0,
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
        self._start_timeout_s = start_timeout_s
        self.mode = mode
        self._on_update = on_update
        self._live_at = time.monotonic()
        self.heard = HeardAccounts()
        self.history = ""
        self.status.on_history = self._begin_history
        self._judge = judge = NodeJudge(rpc, pool, limits, self.status)
        self._websocket = WebSocketSource(pool, judge, self.status, self._addresses, rpc.commitment, quiet_s, ping_s)
        self._rereader = Rereader(pool, judge, self.status, self.heard, self._addresses)
        self._poller = Poller(
            pool,
            judge,
            self.status,
            self._addresses,
            self._discover_markets,
            every_s=poll_every_s,
            wanted=self._should_poll,
        )
        self.genesis: str | None = None
        self.cluster_name = UNKNOWN
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
            self.genesis = genesis = await self._rpc.genesis_hash(patience_s=self._start_timeout_s)
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
        """Lets ``tap`` hear every account and slot that a node tells from now on, proven or not; ``None`` ends it."""
        self.status.on_slot = None if tap is None else tap.slot
        self.status.on_account = None if tap is None else tap.account

    async def run(self) -> None:
        """Feeds the store from the source, until cancelled."""
        self._live_at = time.monotonic()
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(source.run(self._deliver), name=name) for name, source in self._sources().items()
            ]
            tasks.append(group.create_task(self._return_to_first_endpoint(), name="endpoint-return"))
            if self.selection and self.mode != "polling":
                tasks.append(group.create_task(self._look_for_listings(), name="listings"))
            try:
                await asyncio.wait(tasks)
            finally:
                await end(*tasks)  # whatever they make of a cancellation

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
                await self._deliver_discovered()
            except (RpcUnavailable, RpcRefused) as error:
                _log.warning("markets that were listed or renamed could not be looked for: %s", error)
            else:
                counted = seen
            look_at = time.monotonic() + _LISTINGS_EVERY_S

    def _counted(self) -> tuple[int, int]:
        state = self.store.state
        return (0, 0) if state is None else (state.number_of_markets, state.number_of_spot_markets)

    def _sources(self) -> dict[str, Source]:
        sources: dict[str, Source] = {"poller": self._poller, "rereader": self._rereader}
        return sources if self.mode == "polling" else {"websocket": self._websocket, **sources}

    def _should_poll(self) -> bool:
        """Polling is the mode, or no socket has been live for a while."""
        if self.status.state == "live":
            self._live_at = time.monotonic()
        return self.mode == "polling" or time.monotonic() - self._live_at > _POLL_AFTER_S

    async def _return_to_first_endpoint(self) -> None:
        while True:
            await asyncio.sleep(_RETURN_LOOK_S)
            if self.pool.should_try_first:
                slot = await self._rpc.slot(self.pool.endpoints[0])
                self.pool.try_first(is_back=self._judge.is_back(slot))

    async def _start(self) -> None:
        """Reads every account once, to know what there is; raises what keeps the publisher from starting.

        No node is proven yet: what was read is not published before a proven one has told it as well.
        """
        for update in await self._discover_markets(patience_s=self._start_timeout_s):
            self.store.apply(update)
        if missing := self.selection.missing(self.store.seen.items()):
            raise UnknownMarket(missing)
        if not self.store.perp_markets and not self.store.spot_markets:
            raise RpcUnavailable(f"{self._rpc.name} serves no market of {self.profile.name}: is it the right cluster?")
        await self._fetch()
        self._follow()

    async def _discover_markets(self, *, patience_s: float | None = None) -> list[AccountUpdate]:
        """All markets of the program; by index where the provider does not serve ``getProgramAccounts``."""
        profile = self.profile
        try:
            perps = await self._rpc.program_accounts(profile.program_id, profile.perp_market.discriminator)
            spots = await self._rpc.program_accounts(profile.program_id, profile.spot_market.discriminator)
            return self._heard_by_tap(perps + spots)
        except (RpcRefused, RpcUnavailable) as refused:
            _log.info("%s; reading the markets by their indexes", refused)
        apart = AccountStore(profile)
        for update in await self._rpc.accounts([profile.state_address], patience_s=patience_s):
            apart.apply(update)
        if apart.state is None:
            raise RpcUnavailable(f"{self._rpc.name} has no State account of {profile.name}")
        addresses = profile.market_addresses(apart.state)
        found = await self._rpc.accounts(addresses, patience_s=patience_s)
        return self._heard_by_tap([update for update in found if update.data is not None])

    async def _deliver_discovered(self) -> None:
        for update in self._judge.current(await self._discover_markets()):
            if self.status.is_alive:
                self._deliver(update)

    def _heard_by_tap(self, updates: list[AccountUpdate]) -> list[AccountUpdate]:
        for update in updates:
            self.status.hear_account(update)
        return updates

    async def _fetch(self) -> None:
        """Reads every account; before a node is proven, only to know what there is."""
        if self.status.histories:
            for update in self._judge.current((await self._judge.read(self._addresses())).updates):
                self._deliver(update)
        else:
            found = await self._rpc.accounts(self._addresses(), patience_s=self._start_timeout_s)
            for update in self._heard_by_tap(found):
                self.store.apply(update)

    async def _stop(self) -> None:
        self._websocket.follow(Subscriptions())

    def _deliver(self, update: AccountUpdate) -> None:
        """Takes in what a proven node told."""
        if self.status.is_from_the_future(update.slot):
            ahead = f"slot {update.slot} while the chain is at {self.status.slot}"
            self.store.report(update.address, AccountRefused("slot from the future", ahead))
            return
        before = self.store.version(update.address)
        if update.was_read and before is not None and update.slot < before.slot:
            return  # the machine that answered is a little behind the socket's
        touched = self.store.apply(update)
        self._note_heard(update)
        if touched.new_oracles or touched.unused_oracles or (touched.is_listing and self.selection):
            self._follow()
        if touched.markets or touched.by_oracle:
            self._on_update(touched)

    def _note_heard(self, update: AccountUpdate) -> None:
        """It counts where the store has taken it for the newest."""
        held = self.store.version(update.address)
        if held is not None and held.slot == update.slot and not self.store.is_doubtful(update.address):
            self.heard.note(update.address, was_read=update.was_read)

    def _begin_history(self) -> None:
        """Slots start over, or begin: what was known before says nothing about what comes."""
        self.store.begin_history()
        self.heard.forget()
        if self.status.histories > 1:
            began = str(self._judge.epoch_began_s)
            self.history = f"{began}-{self.status.histories}" if self.history.split("-")[0] == began else began

    def stale_markets(self) -> tuple[str, ...]:
        """Names on the bus of the markets whose price cannot be read, or rests on what was not heard of lately."""
        store, heard = self.store, self.heard
        return tuple(
            store.names[key]
            for key, market in store.items()
            if store.oracle(market) is None or heard.overdue(store.behind(market))
        )

    def overdue(self) -> list[str]:
        """Accounts that were neither heard of nor read lately, so that nothing that rests on them is confirmed."""
        return self.heard.overdue(self._addresses())

    def _follow(self) -> None:
        self._websocket.follow(self.subscriptions())

    def subscriptions(self) -> Subscriptions:
        """What is subscribed beside the slots."""
        return subscriptions_to(self.store, each=bool(self.selection))

    def _addresses(self) -> Sequence[str]:
        return [self.profile.state_address, *self.store.market_addresses(), *self.store.oracles()]
