"""Drift v2: its market table, State, users and funding rule, as the simulation writes and follows them."""

from __future__ import annotations

__all__: list[str] = []
