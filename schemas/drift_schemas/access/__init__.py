"""How one connects to NATS: who one is, and whom one trusts. The same for publisher, feed and commands."""

from drift_schemas.access.cancelling import apart, end
from drift_schemas.access.closing import close_quietly, is_dead
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
    "apart",
    "close_quietly",
    "end",
    "explain",
    "hide_seeds",
    "is_dead",
]
