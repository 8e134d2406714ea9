"""What has to be subscribed to follow the accounts that a store holds: whole kinds where that is less."""

from __future__ import annotations

from drift_publisher.source import Subscriptions
from drift_publisher.store import AccountStore

__all__ = ["subscriptions_to"]


def subscriptions_to(store: AccountStore, *, each: bool = False) -> Subscriptions:
    """The State, the markets and their oracles, beside the slots.

    Markets come by program, and so do the oracles that the program owns: one subscription for all of a kind. Oracles of
    other programs come one by one, for their programs have thousands that nobody here asked for.

    Args:
        store: Holds the markets.
        each: Every account by a subscription of its own: few markets are followed, and the rest would come along.
    """
    profile = store.profile
    if each:
        return Subscriptions(accounts=(profile.state_address, *store.oracles(), *store.market_addresses()))
    kinds = dict.fromkeys(layout.discriminator for layout in (profile.perp_market, profile.spot_market))
    single = [profile.state_address]
    for address in store.oracles():
        found = store.oracle_discriminators(address)
        kinds.update(dict.fromkeys(sorted(found - {b""})))
        if b"" in found:
            single.append(address)
    return Subscriptions(tuple((profile.program_id, kind) for kind in kinds), tuple(single))
