"""One thing that was looked at, and all that the checks are told."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from tickerd.config import Compiled, Settings

Level = Literal["ok", "skipped", "warning", "problem"]


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What was found; without secrets."""

    check: str
    """What was looked at, in a word."""
    level: Level
    text: str
    do: str = ""
    """What to do about it."""


@dataclass(frozen=True)
class Patient:
    """What is to be looked at."""

    file: Path
    compiled: "Compiled"
    env: Mapping[str, str] = field(repr=False)
    process: int | None = None
    """Of the daemon that runs on the state directory."""
    is_offline: bool = False
    """Nothing beyond this machine is asked."""
    timeout_s: float = 5.0
    """For one answer from elsewhere."""

    @property
    def settings(self) -> "Settings":
        """The configuration."""
        return self.compiled.settings


Check = Callable[[Patient], Iterator[Finding]]


def ok(check: str, text: str) -> Finding:
    """Nothing to do."""
    return Finding(check=check, level="ok", text=text)


def skipped(check: str, text: str) -> Finding:
    """It could not be looked at."""
    return Finding(check=check, level="skipped", text=text)


def warning(check: str, text: str, do: str) -> Finding:
    """It works, and will not always."""
    return Finding(check=check, level="warning", text=text, do=do)


def problem(check: str, text: str, do: str) -> Finding:
    """It does not work, or is not safe."""
    return Finding(check=check, level="problem", text=text, do=do)
