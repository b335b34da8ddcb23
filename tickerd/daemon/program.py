"""What a daemon is made from, what it calls outside itself, and how it ends."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tickerd.config import Compiled
from tickerd.observe.status import FeedSnapshot
from tickerd.runtime.registry import Registry


@dataclass(frozen=True)
class Program:
    """The configuration, and how to get the next one."""

    file: Path
    compiled: Compiled
    registry: Registry
    again: Callable[[], Compiled]
    """Reads and compiles the file anew; blocking. Raises `tickerd.config.ConfigError`."""


def _nothing(*_: object) -> None:
    return


@dataclass(frozen=True)
class Hooks:
    """What the daemon calls outside itself; none of them may raise or wait."""

    leave: Callable[[int], None]
    """Ends the process at once with an exit code: for a second signal, stuck units, a frozen loop."""
    tell: Callable[[FeedSnapshot], None] = _nothing
    """Each second, with a snapshot of the feed."""
    changed: Callable[[str, str, str], None] = _nothing
    """With (unit, state, detail) when a unit changes."""
    hide: Callable[[str], None] = _nothing
    """With a secret that must not show in the log."""
    applied: Callable[[Compiled], None] = _nothing
    """With a configuration that is in force now, after a reload."""


@dataclass(frozen=True)
class Outcome:
    """How a run ended."""

    snapshot: FeedSnapshot
    exit_code: int
