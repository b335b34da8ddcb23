"""Shows settings with every default filled in and every secret masked."""

from collections.abc import Collection
from typing import Any

from tickerd.config.excerpt import MASK, holds_login, looks_secret
from tickerd.config.problem import Path
from tickerd.config.settings import Settings, SinkSettings, SourceSettings

_APART: dict[str, Any] = {"sources": True, "sinks": True, "calendar": {"entries"}}
"""What is shown in another way, and what is written in another file."""
_OUTSIDE = ("name", "type", "options")
"""Fields of a unit that are not written in its section."""


def dump(settings: Settings, secret: Collection[Path] = ()) -> dict[str, Any]:
    """The configuration as it could be written, but for the secrets.

    Args:
        settings: what to show.
        secret: where a reference was written; see `tickerd.config.compile.Compiled`.
    """
    plain = settings.model_dump(mode="json", exclude=_APART, fallback=str, warnings=False)
    plain["journal"] = plain["journal"] or "off"
    units: dict[str, Any] = {
        "sources": {name: _unit(unit) for name, unit in settings.sources.items()},
        "sinks": {name: _unit(unit) for name, unit in settings.sinks.items()},
    }
    masked = _masked(units | plain, (), frozenset(secret))
    assert isinstance(masked, dict)
    return masked


def _unit(unit: SourceSettings | SinkSettings) -> dict[str, Any]:
    common = unit.model_dump(mode="json", exclude=set(_OUTSIDE), fallback=str, warnings=False)
    own = unit.options.model_dump(mode="json", by_alias=True, fallback=str, warnings=False)
    return {"use": common.pop("use")} | own | common


def _masked(value: Any, path: Path, secret: frozenset[Path]) -> Any:
    if isinstance(value, dict):
        return {key: _masked(inner, (*path, key), secret) for key, inner in value.items()}
    if isinstance(value, list):
        return [_masked(inner, (*path, index), secret) for index, inner in enumerate(value)]
    if value is None or value == "" or isinstance(value, bool):
        return MASK if path in secret else value
    key = next((part for part in reversed(path) if isinstance(part, str)), None)
    hidden = path in secret or looks_secret(key) or holds_login(value)
    return MASK if hidden else value
