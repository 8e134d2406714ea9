"""Program profiles: everything about each on-chain program that the pipeline must not know. The registry is here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from drift_publisher.profile import AnyProfile
from drift_publisher.profiles.drift_v2 import DRIFT_V2

__all__ = ["AUTO", "DRIFT_V2", "PROFILES"]

PROFILES: Final[Mapping[str, AnyProfile]] = {profile.name: profile for profile in (DRIFT_V2,)}
"""All programs that can be followed, by name."""

AUTO: Final = "auto"
"""In place of a name: the program that owns markets at the endpoint."""
