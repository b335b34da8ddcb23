"""From one configuration to the next: which units are kept, changed, restarted, added or removed, and why.

Pure. Units are compared by value. A plan is in the order in which it is carried out: sinks before the sources
that feed them, removed sources before removed sinks, each group by name: nothing is published to nobody.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import msgspec
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from tickerd.config.access import AuthSettings, RateLimitSettings
from tickerd.config.excerpt import holds_login, looks_secret
from tickerd.config.problem import Path, dotted
from tickerd.config.settings import Settings, SinkSettings, SourceSettings
from tickerd.config.shape import is_public, public_paths
from tickerd.plugin.options import ReloadClass
from tickerd.plugin.source import Replace

Verb = Literal["keep", "change", "restart", "add", "remove"]
Kind = Literal["source", "sink"]
UnitSettings = SourceSettings | SinkSettings
AccessSettings = AuthSettings | RateLimitSettings

HIDDEN = "***"
"""What is shown instead of a secret."""

_PYDANTICS = "*" * 10
"""What pydantic writes instead of a secret."""
_DERIVED = {"name", "type"}
"""Fields of a unit's settings that follow from others."""
_ACCESS = ("auth", "rate_limits")
"""Sections of plugins that are no units: all of them are applied in place."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One option that is not what it was.

    Attributes:
        option: dotted path, below its unit or below the top of the file.
        reload: how a reload applies it.
        old: the value before, as JSON can hold it; secrets are `HIDDEN`.
        new: the value after.
    """

    option: str
    reload: ReloadClass
    old: Any
    new: Any

    def reversed(self) -> "Difference":
        """The way back."""
        return replace(self, old=self.new, new=self.old)

    def data(self) -> dict[str, Any]:
        """For programs. Lists are told as what came and what went, because they can be long."""
        told: dict[str, Any] = {"option": self.option, "reload": self.reload}
        if isinstance(self.old, list) or isinstance(self.new, list):
            before, after = _items(self.old), _items(self.new)
            told["added"] = [item for item in after if item not in before]
            told["removed"] = [item for item in before if item not in after]
        else:
            told |= {"old": self.old, "new": self.new}
        return told


@dataclass(frozen=True, slots=True)
class Step:
    """What happens to one unit.

    Attributes:
        replace: for a restart, whether the new one comes up beside the old or after it has stopped.
        differences: for a change or restart, why; for a kept unit, what needs a restart of tickerd.
        old: its settings before; None when it is added.
        new: its settings after; None when it is removed.
    """

    verb: Verb
    kind: Kind
    name: str
    replace: Replace | None = None
    differences: tuple[Difference, ...] = ()
    old: UnitSettings | None = None
    new: UnitSettings | None = None

    @property
    def unit(self) -> str:
        """``source.kite``."""
        return f"{self.kind}.{self.name}"

    def reversed(self) -> "Step":
        """The way back."""
        opposite: dict[Verb, Verb] = {"add": "remove", "remove": "add"}
        return replace(
            self,
            verb=opposite.get(self.verb, self.verb),
            differences=tuple(one.reversed() for one in self.differences),
            old=self.new,
            new=self.old,
        )

    def data(self) -> dict[str, Any]:
        """For programs."""
        return {
            "verb": self.verb,
            "unit": self.unit,
            "replace": self.replace,
            "differences": [one.data() for one in self.differences],
        }


@dataclass(frozen=True, slots=True)
class Plan:
    """Every unit of either configuration, and what differs outside of units.

    Attributes:
        steps: one for each unit, in the order in which they are carried out.
        settings: differences of the daemon's own settings, ``live`` or ``daemon``.
    """

    steps: tuple[Step, ...]
    settings: tuple[Difference, ...] = ()

    @property
    def changes(self) -> bool:
        """Whether there is anything to do or to tell."""
        return bool(self.settings) or any(step.verb != "keep" or step.differences for step in self.steps)

    @property
    def needs_restart(self) -> tuple[Difference, ...]:
        """What stays as it was until tickerd is restarted."""
        units = (
            replace(one, option=f"{step.kind}s.{step.name}.{one.option}")
            for step in self.steps
            for one in step.differences
        )
        return tuple(one for one in (*self.settings, *units) if one.reload == "daemon")

    def of(self, verb: Verb) -> tuple[Step, ...]:
        """The steps of this verb."""
        return tuple(step for step in self.steps if step.verb == verb)

    def reversed(self) -> "Plan":
        """The plan that leads back, for when a step of this one fails."""
        steps = sorted((step.reversed() for step in self.steps), key=_order)
        return Plan(tuple(steps), tuple(one.reversed() for one in self.settings))

    def data(self) -> dict[str, Any]:
        """For programs, as JSON can hold it."""
        return {
            "changes": self.changes,
            "steps": [step.data() for step in self.steps],
            "settings": [one.data() for one in self.settings if one.reload != "daemon"],
            "needs_restart": [one.data() for one in self.needs_restart],
        }


def plan(old: Settings | None, new: Settings, secret: Collection[Path] = ()) -> Plan:
    """What leads from ``old`` to ``new``.

    Args:
        old: what runs now; None when nothing does.
        new: what shall run.
        secret: places in either file that must not be shown whatever their type, see `Compiled.secret`.
    """
    steps = [
        *_steps("source", old.sources if old else {}, new.sources, secret),
        *_steps("sink", old.sinks if old else {}, new.sinks, secret),
    ]
    return Plan(tuple(sorted(steps, key=_order)), tuple(_daemon(old, new, secret)) if old else ())


def _order(step: Step) -> tuple[int, str]:
    if step.verb == "remove":
        return (2 if step.kind == "source" else 3, step.name)
    return (0 if step.kind == "sink" else 1, step.name)


def _steps(
    kind: Kind,
    old: Mapping[str, UnitSettings],
    new: Mapping[str, UnitSettings],
    secret: Collection[Path],
) -> Iterator[Step]:
    for name in old.keys() | new.keys():
        before, after = old.get(name), new.get(name)
        if before is None:
            yield Step("add", kind, name, new=after)
        elif after is None:
            yield Step("remove", kind, name, old=before)
        else:
            yield _compared(kind, before, after, secret)


def _compared(kind: Kind, old: UnitSettings, new: UnitSettings, secret: Collection[Path]) -> Step:
    if old.type is not new.type:
        # options of different plugins cannot be told apart one by one
        found: tuple[Difference, ...] = (Difference("use", "unit", old.use, new.use),)
    else:
        top: Path = (f"{kind}s", new.name)
        below = (place[2:] for place in secret if place[:2] == top)
        found = tuple(_differences(old, new, (), _DERIVED, tuple(below)))
    classes = {one.reload for one in found}
    verb: Verb = "restart" if "unit" in classes else "change" if "live" in classes else "keep"
    order: Replace = "after" if "after" in (old.type.replace, new.type.replace) else "beside"
    return Step(verb, kind, new.name, order if verb == "restart" else None, found, old, new)


def _daemon(old: Settings, new: Settings, secret: Collection[Path]) -> Iterator[Difference]:
    """Outside of units there is no unit to restart, so what is not live needs a restart of the daemon."""
    for one in _differences(old, new, (), ("sources", "sinks", *_ACCESS), secret):
        yield replace(one, reload="live" if one.reload == "live" else "daemon")
    for section in _ACCESS:
        for one in _access(section, getattr(old, section), getattr(new, section), secret):
            yield replace(one, reload="live")


def _access(
    section: str,
    old: Mapping[str, AccessSettings],
    new: Mapping[str, AccessSettings],
    secret: Collection[Path],
) -> Iterator[Difference]:
    """Of one that came or went only its plugin is told."""
    for name in sorted(old.keys() | new.keys()):
        before, after = old.get(name), new.get(name)
        if before is None or after is None:
            use = (before and before.use, after and after.use)
            yield Difference(dotted((section, name)), "live", *use)
        elif before.type is not after.type:
            yield Difference(dotted((section, name, "use")), "live", before.use, after.use)
        else:
            yield from _differences(before, after, (section, name), _DERIVED, secret)


def _differences(
    old: BaseModel, new: BaseModel, path: Path, skip: Collection[str], secret: Collection[Path]
) -> Iterator[Difference]:
    """Options that differ, down to the innermost model; a plugin's own stand beside the common ones."""
    for name, field in type(new).model_fields.items():
        before, after = getattr(old, name), getattr(new, name)
        if name in skip or before == after:
            continue
        is_own = name == "options" and isinstance(new, UnitSettings | AccessSettings)
        below = path if is_own else (*path, field.alias or name)
        if isinstance(before, BaseModel) and type(before) is type(after):
            yield from _differences(before, after, below, (), secret)
        elif _is_secret(below, field, secret):
            yield Difference(dotted(below), _reload(field), _covered(before), _covered(after))
        else:
            yield Difference(dotted(below), _reload(field), _shown(old, name), _shown(new, name))


def _reload(field: FieldInfo) -> ReloadClass:
    extra = field.json_schema_extra
    found: Any = extra.get("reload") if isinstance(extra, dict) else None
    return found or "unit"


def _is_secret(path: Path, field: FieldInfo, secret: Collection[Path]) -> bool:
    """Whether the option, something in it or something round it must not be shown."""
    telling = looks_secret(path[-1]) and not is_public(field)
    return telling or any(a[: len(path)] == path or path[: len(a)] == a for a in secret)


def _covered(value: Any) -> Any:
    return None if value is None else HIDDEN


def _shown(model: BaseModel, name: str) -> Any:
    """One option as JSON can hold it, written as YAML would write it, secrets in it hidden."""
    public = frozenset(public_paths(getattr(model, name)))
    return _hidden(model.model_dump(mode="json", include={name})[name], (), public)


def _hidden(value: Any, path: Path, public: Collection[Path]) -> Any:
    if isinstance(value, dict):
        return {
            key: HIDDEN
            if looks_secret(key) and (*path, key) not in public
            else _hidden(one, (*path, key), public)
            for key, one in value.items()
        }
    if isinstance(value, list):
        return [_hidden(one, (*path, index), public) for index, one in enumerate(value)]
    return HIDDEN if value == _PYDANTICS or holds_login(value) else value


def _items(value: Any) -> list[str]:
    """A list's items, each as one text; what a source subscribes to as one text for each instrument."""
    return [text for item in value or () for text in _texts(item)] if not isinstance(value, str) else [value]


def _texts(item: Any) -> Iterator[str]:
    if isinstance(item, dict) and isinstance(item.get("instruments"), list):
        yield from (f"{instrument} {item.get('mode', '')}".strip() for instrument in item["instruments"])
    else:
        yield item if isinstance(item, str) else msgspec.json.encode(item).decode()
