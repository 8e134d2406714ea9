"""What the simulation takes from driftpy: Drift's market tables and its IDLs. Velocity needs neither."""

from __future__ import annotations

import json
from functools import lru_cache
from importlib import resources
from typing import Any

from drift_simulator.config import SimulatorError

__all__ = ["SdkMissing", "idl_document", "perp_configs", "spot_configs"]


class SdkMissing(SimulatorError):
    """driftpy is not installed, so there is no Drift to simulate."""

    def __init__(self, missing: str | None) -> None:
        super().__init__(
            f"a simulated drift-v2 needs driftpy ({missing or 'it'} is not installed): add the extra, "
            "pip install 'drift-bus[simulator,drift-v2]', on Python 3.11 or 3.12; velocity-v1 needs none of it"
        )


@lru_cache(maxsize=1)
def perp_configs() -> tuple[Any, ...]:
    """Return mainnet's perp markets as driftpy lists them.

    Raises:
        SdkMissing: driftpy is not installed.
    """
    try:
        from driftpy.constants.perp_markets import mainnet_perp_market_configs
    except ModuleNotFoundError as error:
        raise SdkMissing(error.name) from None
    return tuple(mainnet_perp_market_configs)


@lru_cache(maxsize=1)
def spot_configs() -> tuple[Any, ...]:
    """Return mainnet's spot markets as driftpy lists them.

    Raises:
        SdkMissing: driftpy is not installed.
    """
    try:
        from driftpy.constants.spot_markets import mainnet_spot_market_configs
    except ModuleNotFoundError as error:
        raise SdkMissing(error.name) from None
    return tuple(mainnet_spot_market_configs)


def idl_document(file: str) -> dict[str, Any]:
    """Return an IDL that driftpy ships, as its JSON says.

    Raises:
        SdkMissing: driftpy is not installed.
    """
    try:
        folder = resources.files("driftpy")
    except ModuleNotFoundError as error:
        raise SdkMissing(error.name) from None
    document: dict[str, Any] = json.loads(folder.joinpath("idl", file).read_text())
    return document
