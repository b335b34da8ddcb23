"""What outlives a run: the state directory, its lock and epoch, and the state file with its repositories."""

from tickerd.state.database import Database
from tickerd.state.directory import StateDirectory, StateLocked
from tickerd.state.errors import StateError

__all__ = ["Database", "StateDirectory", "StateError", "StateLocked"]
