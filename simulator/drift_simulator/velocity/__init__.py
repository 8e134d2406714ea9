"""Velocity v1: its types, markets, State and rules, as the simulation writes and follows them."""

from __future__ import annotations

__all__: list[str] = []
