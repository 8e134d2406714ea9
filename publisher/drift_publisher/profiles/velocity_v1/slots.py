"""How long a slot is, and how old a reading: Velocity keeps its time limits in units of 400 ms.

Source: velocity-exchange/velocity-v1 ``math/time.rs``, ``state/state.rs``. Earlier builds take the slot length from a
staged pair of fields and turn each limit into whole slots; later ones write down where each slot length began, and
count the time that a reading has lived through. A State that has such a record was written by a later build.
"""

from __future__ import annotations

from typing import Final

from drift_publisher.profiles.velocity_v1.records import State

__all__ = ["UNIT_MS", "is_older", "slot_ms", "slots_of"]

UNIT_MS: Final = 400
"""Unit of the limits in State and of a market's overrides."""
_END_OF_TIME: Final = 2**64 - 1


def slot_ms(state: State, slot: int) -> int:
    """Length of a slot in milliseconds at ``slot``."""
    record = _transitions(state)
    if record:
        return next((length for start, length in reversed(record) if slot >= start), UNIT_MS)
    staged = state.pending_slot_duration_ms
    current = staged if staged and slot >= state.slot_duration_effective_slot else state.slot_duration_ms
    return current or UNIT_MS


def is_older(state: State, posted_slot: int, slot: int, units: int, *, patience: int = 1) -> bool:
    """Whether a reading of ``posted_slot`` is older at ``slot`` than the limit of ``units``, ``patience`` times over.

    A limit below zero counts as zero; a reading from a later slot has no age.
    """
    limit_ms = max(0, units) * UNIT_MS
    if not _transitions(state):
        return slot - posted_slot > limit_ms // slot_ms(state, slot) * patience
    return _elapsed_ms(state, posted_slot, slot) > limit_ms * patience


def slots_of(state: State, units: int) -> int:
    """A limit of ``units`` in whole slots of the shortest length that the State knows, staged lengths included."""
    return max(0, units) * UNIT_MS // slot_ms(state, _END_OF_TIME)


def _transitions(state: State) -> list[tuple[int, int]]:
    """(First slot, length in ms) of each slot length that the program has written down."""
    firsts = (
        (state.first_350ms_slot, 350),
        (state.first_300ms_slot, 300),
        (state.first_250ms_slot, 250),
        (state.first_200ms_slot, 200),
    )
    return [(first, length) for first, length in firsts if first]


def _elapsed_ms(state: State, start: int, end: int) -> int:
    elapsed = 0
    for first, _ in _transitions(state):
        if start < first <= end:
            elapsed += (first - start) * slot_ms(state, start)
            start = first
    return elapsed + max(0, end - start) * slot_ms(state, start)
