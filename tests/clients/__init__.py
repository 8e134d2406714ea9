"""Clients of other languages read the bus as ours does."""
