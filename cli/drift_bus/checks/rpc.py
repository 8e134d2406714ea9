"""The RPC endpoints: whether they answer, keep up, push, and serve the program that we can read."""

from __future__ import annotations

import asyncio
import json
import struct
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TYPE_CHECKING, Final

from drift_bus.checks.finding import Finding, checked, failed, ok, skipped, warning
from drift_bus.redaction import redact

if TYPE_CHECKING:
    from drift_publisher import PublisherSettings
    from drift_publisher.endpoints import Endpoint
    from drift_publisher.rpc import RpcClient

__all__ = ["examine_rpc"]

_PATIENCE_S: Final = 5.0
_STEP_S: Final = 4.0
_LIMIT_S: Final = 15.0
_UNEASY_S: Final = 15.0
_UNIX_TIME_AT: Final = 32
_MANY: Final = 100
_PLAN: Final = "check the URL, its key and its plan with the provider; name another endpoint in DRIFT_BUS_RPC_URLS"
_WATCHED: Final = "it is stuck or restarting: name another endpoint first"


async def examine_rpc(settings: PublisherSettings) -> AsyncIterator[Finding]:
    """Yields what each endpoint does, in order of preference."""
    from drift_publisher.endpoints import EndpointPool
    from drift_publisher.rpc import RpcClient

    for endpoint in settings.endpoints().endpoints:
        pool = EndpointPool([endpoint])
        async with RpcClient(pool, commitment=settings.commitment, give_up_after_s=_PATIENCE_S) as rpc:
            examiner = _Examiner(settings, endpoint, rpc)
            reached = await checked("rpc reachable", examiner.reachable, limit_s=_LIMIT_S)
            yield reached
            if reached.result == "failed":
                continue
            looks: dict[str, Callable[[], Awaitable[Finding]]] = {
                "rpc methods": examiner.methods,
                "rpc lag": examiner.lag,
                "rpc websocket": examiner.websocket,
                "program": examiner.program,
            }
            tasks = [asyncio.ensure_future(checked(name, look, limit_s=_LIMIT_S)) for name, look in looks.items()]
            for finding in asyncio.as_completed(tasks):
                yield await finding


class _Examiner:
    """Looks at one endpoint."""

    def __init__(self, settings: PublisherSettings, endpoint: Endpoint, rpc: RpcClient) -> None:
        self._settings = settings
        self._endpoint = endpoint
        self._rpc = rpc
        self._name = endpoint.name

    async def reachable(self) -> Finding:
        from drift_publisher import RpcUnavailable
        from drift_publisher.rpc import RpcRefused

        began = time.monotonic()
        try:
            slot = await self._rpc.call("getSlot", [{"commitment": self._settings.commitment}])
        except (RpcRefused, RpcUnavailable) as error:
            return failed("", str(error).partition(": check ")[0], f"{_PLAN} (this one: {self._endpoint.setting})")
        took_ms = (time.monotonic() - began) * 1000
        throttled = self._endpoint.traffic.throttled
        if throttled:
            what = f"{self._name} answers, after {throttled} times HTTP 429"
            return warning("", what, "lower DRIFT_BUS_RPC_RATE_PER_S and _BURST, or get a larger plan", slot=slot)
        return ok("", f"{self._name} answers in {took_ms:.0f} ms, slot {slot}", slot=slot, took_ms=round(took_ms, 1))

    async def methods(self) -> Finding:
        from drift_publisher import RpcUnavailable
        from drift_publisher.profiles import DRIFT_V2
        from drift_publisher.rpc import RpcRefused

        refused = []
        try:
            await self._rpc.accounts([DRIFT_V2.perp_market_address(index) for index in range(_MANY)])
        except RpcRefused as error:
            return failed("", f"{self._name} does not serve what is needed: {error}", _PLAN)
        markets = (DRIFT_V2.program_id, DRIFT_V2.perp_market.discriminator)
        calls: dict[str, Callable[[], Awaitable[object]]] = {
            "getProgramAccounts": lambda: self._rpc.program_accounts(*markets),
            "getGenesisHash": self._rpc.genesis_hash,
        }
        for method, call in calls.items():
            try:
                await call()
            except RpcRefused as error:
                refused.append(f"{method} ({error.refusal.said})")
            except RpcUnavailable as error:
                refused.append(f"{method} ({error})")
        at_once = self._endpoint.batch.learned
        if refused:
            what = f"{self._name} refuses {', '.join(refused)}"
            return warning(
                "", what, "without it markets are read by their indexes, and the cluster by DRIFT_BUS_CLUSTER"
            )
        if at_once < _MANY:
            what = f"getMultipleAccounts takes {at_once} accounts a request instead of {_MANY}"
            return warning("", what, "each reading costs more requests: see what the plan allows", at_once=at_once)
        return ok("", "getMultipleAccounts, getProgramAccounts, getGenesisHash, getSlot")

    async def lag(self) -> Finding:
        from drift_publisher.lag import CLOCK_SYSVAR

        first = await self._rpc.slot(self._endpoint)
        deadline = time.monotonic() + _STEP_S
        newest = first
        while newest == first and time.monotonic() < deadline:
            await asyncio.sleep(0.3)
            newest = await self._rpc.slot(self._endpoint)
        if first is None or newest is None:
            return failed("", f"{self._name} does not tell its slot", _PLAN)
        if newest <= first:
            return failed("", f"{self._name} stood still at slot {first} for {_STEP_S:g} s", _WATCHED)
        [clock] = await self._rpc.accounts([CLOCK_SYSVAR])
        if clock.data is None or len(clock.data) < _UNIX_TIME_AT + 8:
            return ok("", f"slots of {self._name} go on; it shows no clock account", slot=newest)
        behind_s = time.time() - struct.unpack_from("<q", clock.data, _UNIX_TIME_AT)[0]
        figures = {"slot": newest, "behind_s": round(behind_s, 1)}
        side = "behind" if behind_s > 0 else "ahead of"
        said = f"the chain's clock at {self._name} is {abs(behind_s):.0f} s {side} ours"
        if behind_s > self._settings.max_lag_s:
            return failed("", said, "the node lags, or our clock is wrong (timedatectl): see 'clock'", **figures)
        if abs(behind_s) > _UNEASY_S:
            return warning("", said, "the node lags, or our clock is wrong (timedatectl): see 'clock'", **figures)
        return ok("", f"{said}; its slots go on", **figures)

    async def websocket(self) -> Finding:
        from websockets.asyncio.client import connect
        from websockets.exceptions import InvalidStatus, WebSocketException

        if self._settings.source == "polling":
            return skipped("", "the source is set to polling, which opens no socket")
        endpoint = self._endpoint
        name = f"{redact(endpoint.ws_url)}: "
        remedy = (
            f"its URL comes from {endpoint.ws_setting}; check it, a firewall, the plan's socket limit; "
            "DRIFT_BUS_SOURCE=polling needs none"
        )
        began = time.monotonic()
        try:
            async with (
                asyncio.timeout(_STEP_S * 2),
                connect(self._endpoint.ws_url, ping_interval=None, compression=None, close_timeout=1) as socket,
            ):
                await socket.send('{"jsonrpc":"2.0","id":1,"method":"slotSubscribe","params":[]}')
                while "method" not in (message := json.loads(await socket.recv())):
                    if "error" in message:
                        return failed(
                            "", f"{name}slotSubscribe is refused: {redact(str(message['error']))[:120]}", remedy
                        )
        except InvalidStatus as error:
            return failed("", f"{name}the handshake is refused with HTTP {error.response.status_code}", remedy)
        except TimeoutError:
            return failed("", f"{name}it opens, and brings no slot within {_STEP_S * 2:g} s", remedy)
        except (OSError, ValueError, WebSocketException) as error:
            return failed("", name + redact(f"no socket: {type(error).__name__}: {error}")[:160], remedy)
        return ok("", f"{name}slots come, the first after {time.monotonic() - began:.1f} s")

    async def program(self) -> Finding:
        from drift_publisher import SettingsError
        from drift_publisher.market_names import explain_clash
        from drift_publisher.program_choice import choose_program
        from drift_publisher.selection import Selection
        from drift_publisher.store import AccountStore

        try:
            profile = await choose_program(self._rpc, self._settings.program)
        except SettingsError as error:
            return failed("", str(error), "set DRIFT_BUS_PROGRAM, or DRIFT_BUS_RPC_URL")
        try:
            profile.require_client()
        except SettingsError as error:
            return failed("", str(error), "install it, or follow another program with DRIFT_BUS_PROGRAM")
        remedy = "is it the right cluster, and the right program? See DRIFT_BUS_RPC_URL"
        [state] = await self._rpc.accounts([profile.state_address])
        if state.data is None:
            return failed("", f"{profile.name} is not there: {self._name} has no State account of it", remedy)
        store = AccountStore(profile)
        store.apply(state)
        if store.state is None:
            reasons = ", ".join(store.refused)
            what = f"the State account of {profile.name} is not what it should be ({reasons})"
            return failed("", what, "the program has changed: update drift-bus before you trust a number")
        addresses = profile.market_addresses(store.state)
        markets = [update for update in await self._rpc.accounts(addresses) if update.data is not None]
        for update in markets:
            store.apply(update)
        for update in await self._rpc.accounts(store.oracles()):
            store.apply(update)
        stale = list(store.stale_oracles())
        counted = f"{len(store.perp_markets)} perp and {len(store.spot_markets)} spot markets"
        unread = len(markets) - len(store.market_keys())
        if unread or not markets:
            what = f"{counted} can be read, {unread} cannot ({_counts(store.refused) or 'there is none'})"
            return failed("", what, "the layout has changed: update drift-bus; the others are published")
        if unknown := Selection(self._settings.markets).missing(store.seen.items()):
            return failed("", unknown, "correct DRIFT_BUS_MARKETS")
        if clashes := [explain_clash(name, clash) for name, clash in store.names.clashes.items()]:
            return warning("", f"{counted} can be read; {'; '.join(clashes)}", "follow them by these names")
        if stale:
            what = f"{counted} can be read; no price for {', '.join(stale[:8])}{' …' if len(stale) > 8 else ''}"
            return warning("", what, "their oracle accounts are missing or refused: engines see oracle_price None")
        return ok("", f"{profile.name}: {counted}, each with its oracle", markets=len(markets))


def _counts(refused: dict[str, int]) -> str:
    return ", ".join(f"{reason}: {count}" for reason, count in refused.items())
