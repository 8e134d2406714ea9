"""Which cluster's data a network's name allows."""

from __future__ import annotations

import logging
from typing import Final

from drift_schemas import Event
from drift_subscribers.compat.notes import NOTES
from drift_subscribers.reads import Reads

__all__ = ["agrees", "cluster_of", "known_cluster"]

_CLUSTERS: Final = {
    "mainnet": "mainnet-beta",
    "mainnet-beta": "mainnet-beta",
    "devnet": "devnet",
    "simulated": "simulated",
}


def known_cluster(network: object) -> str | None:
    """The cluster that ``network`` means, as events write it; ``None`` (and one log line) for an unknown name."""
    cluster = _CLUSTERS.get(network.strip().lower()) if isinstance(network, str) else None
    if cluster is None:
        text = f"unknown network {network!r}: use one of {', '.join(_CLUSTERS)}"
        NOTES.say("network", repr(network), text=text, level=logging.ERROR)
    return cluster


def agrees(found: str, wanted: str) -> bool:
    """Whether data of the cluster ``found`` may be given to who asked for ``wanted``.

    Simulated data may, with one clear warning; another network's never.
    """
    if found == wanted:
        return True
    if found == "simulated":
        text = f"SIMULATED data: {wanted} was asked for, this bus carries invented prices. Do not trade on them."
        NOTES.say("simulated", wanted, text=text)
        return True
    text = f"this bus carries {found}, {wanted} was asked for: nothing is returned; set DRIFT_BUS_NATS_URL to its bus"
    NOTES.say("wrong network", found, wanted, text=text, level=logging.ERROR)
    return False


def cluster_of(feed: Reads) -> str | None:
    """The cluster that the bus carries now; ``None`` while it is empty."""
    known: Event | None = next((event for name in feed.markets("price") if (event := feed.price(name))), None)
    known = known or feed.status()
    return None if known is None else known.cluster
