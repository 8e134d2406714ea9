"""Program profiles: everything about each on-chain program that the pipeline must not know. The registry is here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from drift_publisher.profile import AnyProfile
from drift_publisher.profiles.drift_v2 import DRIFT_V2
from drift_publisher.profiles.velocity_v1 import VELOCITY_V1

__all__ = ["AUTO", "DRIFT_V2", "PROFILES", "VELOCITY_V1", "owner_name"]

PROFILES: Final[Mapping[str, AnyProfile]] = {profile.name: profile for profile in (DRIFT_V2, VELOCITY_V1)}
"""All programs that can be followed, by name."""

AUTO: Final = "auto"
"""In place of a name: the program that owns markets at the endpoint."""


def owner_name(owner: str) -> str:
    """An account's owner as people call it: the program's name, or the address where we do not know it."""
    return next((profile.name for profile in PROFILES.values() if profile.program_id == owner), owner)
