"""What outlives a run: the state directory, its lock, and the epoch."""

from tickerd.state.directory import StateDirectory, StateLocked

__all__ = ["StateDirectory", "StateLocked"]
