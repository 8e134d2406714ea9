"""Which program an endpoint serves: looked up before anything is read as one that it is not."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import NamedTuple

from drift_publisher.accounts import State
from drift_publisher.errors import AccountRefused, SettingsError
from drift_publisher.profile import AnyProfile
from drift_publisher.profiles import AUTO, PROFILES
from drift_publisher.rpc import RpcClient
from drift_publisher.source import AccountUpdate

__all__ = ["choose_program"]

_log = logging.getLogger(__name__)


class _Found(NamedTuple):
    """A program that owns markets at the endpoint."""

    profile: AnyProfile
    is_paused: bool

    def __str__(self) -> str:
        return f"{self.profile.name}{' (paused)' if self.is_paused else ''}"


async def choose_program(
    rpc: RpcClient, wanted: str, profiles: Sequence[AnyProfile] = (), *, patience_s: float | None = None
) -> AnyProfile:
    """The profile to follow, after a look at which programs own markets at the endpoint (one request).

    Where several do, ``auto`` takes the one that is not paused. A name that is asked for is refused where the endpoint
    serves another program only, and taken where it serves none that we know: what is missing is said by whoever reads.

    Args:
        rpc: The endpoint.
        wanted: A profile's name, or ``auto``.
        profiles: The choice; by default all that there are.
        patience_s: Keep trying for so long, whatever the answers are like.

    Raises:
        SettingsError: the wanted program is not the one that is there, or ``auto`` cannot decide.
        RpcRefused, RpcUnavailable: the endpoint does not answer.
    """
    choice = profiles or tuple(PROFILES.values())
    found = await _programs_with_markets(rpc, choice, patience_s)
    if wanted != AUTO:
        if found and all(wanted != there.profile.name for there in found):
            names = " and ".join(there.profile.name for there in found)
            raise SettingsError(
                f"{rpc.name} has markets of {names}, none of {wanted}: set program (DRIFT_BUS_PROGRAM, --program) to "
                f"{found[0].profile.name} or auto, or name an endpoint of the right cluster"
            )
        return next(profile for profile in choice if profile.name == wanted)
    if not found:
        names = " or ".join(profile.name for profile in choice)
        raise SettingsError(f"{rpc.name} has no market of {names}: is it the right cluster?")
    live = [there for there in found if not there.is_paused] or found
    if len(live) > 1:
        names = " and ".join(map(str, live))
        raise SettingsError(f"{rpc.name} has markets of {names}: say which with program (DRIFT_BUS_PROGRAM, --program)")
    others = ", ".join(str(there) for there in found if there is not live[0])
    why = f"it also has {others}" if others else "the only one that has markets there"
    _log.info("program %s at %s: %s", live[0].profile.name, rpc.name, why)
    return live[0].profile


async def _programs_with_markets(
    rpc: RpcClient, profiles: Sequence[AnyProfile], patience_s: float | None
) -> list[_Found]:
    """Looks at each program's State and at its first markets, for a State alone has no market to follow."""
    wanted = [
        (profile, (profile.state_address, profile.perp_market_address(0), profile.spot_market_address(0)))
        for profile in profiles
    ]
    addresses_of_all = [address for _, addresses in wanted for address in addresses]
    updates = await rpc.accounts(addresses_of_all, patience_s=patience_s)
    by_address = {update.address: update for update in updates}
    found = []
    for profile, addresses in wanted:
        own = [by_address[address] for address in addresses if by_address[address].owner == profile.program_id]
        state = _state(profile, own)
        counted = state is not None and state.number_of_markets + state.number_of_spot_markets > 0
        if counted or any(update.address != profile.state_address for update in own):
            found.append(_Found(profile, state is not None and profile.is_paused(state)))
    return found


def _state(profile: AnyProfile, own: Sequence[AccountUpdate]) -> State | None:
    data = next((update.data for update in own if update.address == profile.state_address), None)
    try:
        state: State | None = None if data is None else profile.state.read(data)
    except AccountRefused:
        return None  # whoever follows this program says why
    return state
