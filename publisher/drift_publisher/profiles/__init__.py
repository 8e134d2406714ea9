"""Program profiles: everything about one on-chain program that is not code."""

from drift_publisher.profiles.drift_v2 import DRIFT_V2

__all__ = ["DRIFT_V2"]
