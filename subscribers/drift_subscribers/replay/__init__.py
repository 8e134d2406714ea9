"""Replaying what the bus has carried: as an async iterator, or onto a bus of its own."""

from drift_subscribers.replay.errors import BadReplayName, BadSpeed, ReplayError, ReplayExists, ReplayTaken
from drift_subscribers.replay.iteration import Replay
from drift_subscribers.replay.onto_bus import BusReplay
from drift_subscribers.replay.pacing import Speed
from drift_subscribers.replay.source import ReplayOptions
from drift_subscribers.replay.target import replay_topology
from drift_subscribers.replay_clock import ReplayClock

__all__ = [
    "BadReplayName",
    "BadSpeed",
    "BusReplay",
    "Replay",
    "ReplayClock",
    "ReplayError",
    "ReplayExists",
    "ReplayOptions",
    "ReplayTaken",
    "Speed",
    "replay_topology",
]
