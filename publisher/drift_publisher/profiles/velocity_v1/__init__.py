"""Velocity v1 on Solana, the successor of Drift v2: its accounts, its formulas, its constants."""

from __future__ import annotations
