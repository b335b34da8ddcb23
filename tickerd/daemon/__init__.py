"""The daemon: one root nursery over signals, the feed, the doors to the outside, and the way out."""

from tickerd.daemon.daemon import Daemon
from tickerd.daemon.program import Hooks, Outcome, Program

__all__ = ["Daemon", "Hooks", "Outcome", "Program"]
