"""What can go wrong: errors that stop the publisher, and refusals that it counts and survives."""

from __future__ import annotations

__all__ = [
    "AccountRefused",
    "NatsUnavailable",
    "NodeNotProven",
    "NodeUndecided",
    "PrefixTaken",
    "PublisherError",
    "RpcUnavailable",
    "SettingsError",
    "TopologyConflict",
    "UnknownMarket",
]


class PublisherError(RuntimeError):
    """The publisher cannot start or go on. Its text is one line that names the thing and the remedy."""


class SettingsError(PublisherError):
    """A setting is missing or wrong."""


class RpcUnavailable(PublisherError):
    """The Solana endpoint does not answer, or answers what the publisher cannot use."""


class NodeNotProven(RpcUnavailable):
    """What the node tells cannot be shown to be current, so none of it counts."""


class NodeUndecided(NodeNotProven):
    """It cannot be shown yet; a later look may show it."""


class NatsUnavailable(PublisherError):
    """The NATS server does not answer, or has no JetStream."""


class TopologyConflict(PublisherError):
    """A stream or bucket stands there with a setting that cannot be changed in place."""


class PrefixTaken(PublisherError):
    """The prefix is led by a publisher of other data: of another program, or of another cluster."""


class UnknownMarket(PublisherError):
    """A market was asked for that the program does not have."""


class AccountRefused(ValueError):
    """An account's bytes are not what was asked for. ``reason`` is a short word to count by."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
