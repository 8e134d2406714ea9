"""The one process that owns the DriftClient: it reads the chain and publishes events on NATS."""

from drift_publisher.errors import (
    NatsUnavailable,
    PrefixTaken,
    PublisherError,
    RpcUnavailable,
    SettingsError,
    TopologyConflict,
    UnknownMarket,
)
from drift_publisher.publisher import Publisher
from drift_publisher.settings import PublisherSettings

__all__ = [
    "NatsUnavailable",
    "PrefixTaken",
    "Publisher",
    "PublisherError",
    "PublisherSettings",
    "RpcUnavailable",
    "SettingsError",
    "TopologyConflict",
    "UnknownMarket",
]
