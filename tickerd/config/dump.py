"""Shows settings with every default filled in and every secret masked."""

from collections.abc import Collection, Iterator
from typing import Any

from tickerd.config.access import AuthSettings, RateLimitSettings
from tickerd.config.excerpt import MASK, holds_login, looks_secret
from tickerd.config.problem import Path
from tickerd.config.settings import Settings, SinkSettings, SourceSettings
from tickerd.config.shape import public_paths

UNITS = ("sources", "sinks", "auth", "rate_limits")
"""Sections whose values are sections of plugins."""
_OFF = ("journal", "control", "hooks")
"""Sections that may be ``off``."""
_APART: dict[str, Any] = dict.fromkeys(UNITS, True) | {"calendar": {"entries"}}
"""What is shown in another way, and what is written in another file."""
_OUTSIDE = ("name", "type", "options")
"""Fields of a unit that are not written in its section."""

Unit = SourceSettings | SinkSettings | AuthSettings | RateLimitSettings


def dump(settings: Settings, secret: Collection[Path] = ()) -> dict[str, Any]:
    """The configuration as it could be written, but for the secrets.

    Args:
        settings: what to show.
        secret: where a reference was written; see `tickerd.config.compile.Compiled`.
    """
    plain = settings.model_dump(mode="json", exclude=_APART, fallback=str, warnings=False)
    for section in UNITS:
        plain[section] = {name: written(unit) for name, unit in getattr(settings, section).items()}
    for section in _OFF:
        plain[section] = plain[section] or "off"
    ordered = {section: plain[section] for section in Settings.model_fields}
    masked = _masked(ordered, (), frozenset(secret), frozenset(_public(settings)))
    assert isinstance(masked, dict)
    return masked


def written(unit: Unit) -> dict[str, Any]:
    """One unit as it could be written; secrets show, unless they have the type."""
    common = unit.model_dump(mode="json", exclude=set(_OUTSIDE), fallback=str, warnings=False)
    own = unit.options.model_dump(mode="json", by_alias=True, fallback=str, warnings=False)
    return {"use": common.pop("use")} | own | common


def _public(settings: Settings) -> Iterator[Path]:
    """What may be shown whatever it is called; a plugin's own options stand beside the common ones."""
    for section in Settings.model_fields:
        value = getattr(settings, section)
        if section not in UNITS:
            yield from public_paths(value, (section,))
            continue
        for name, unit in value.items():
            yield from public_paths(unit.options, (section, name))


def _masked(value: Any, path: Path, secret: frozenset[Path], public: frozenset[Path]) -> Any:
    if isinstance(value, dict):
        return {key: _masked(inner, (*path, key), secret, public) for key, inner in value.items()}
    if isinstance(value, list):
        return [_masked(inner, (*path, index), secret, public) for index, inner in enumerate(value)]
    if value is None or value == "" or isinstance(value, bool):
        return MASK if path in secret else value
    named = _name(path) if not any(path[:n] in public for n in range(1, len(path) + 1)) else None
    hidden = path in secret or looks_secret(named) or holds_login(value)
    return MASK if hidden else value


def _name(path: Path) -> str | None:
    return next((part for part in reversed(path) if isinstance(part, str)), None)
