"""How one connects to NATS: who one is, and whom one trusts. The same for publisher, feed and commands."""

from drift_schemas.access.closing import cancellations, close_quietly
from drift_schemas.access.errors import AccessError, explain
from drift_schemas.access.login import NatsAccess, NatsLogin
from drift_schemas.access.nkey import InvalidSeed, KeyPair, hide_seeds
from drift_schemas.access.settings import NatsSettings

__all__ = [
    "AccessError",
    "InvalidSeed",
    "KeyPair",
    "NatsAccess",
    "NatsLogin",
    "NatsSettings",
    "cancellations",
    "close_quietly",
    "explain",
    "hide_seeds",
]
