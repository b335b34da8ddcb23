"""Checks what a plugin declares before anything of it runs: its module, its types and their options. Pure."""

import inspect
from collections.abc import Collection, Iterator
from difflib import get_close_matches
from typing import Any, get_args

import pluggy
from pydantic import BaseModel

from tickerd.config.access import AUTH_RESERVED, LIMIT_RESERVED
from tickerd.config.settings import SINK_RESERVED, SOURCE_RESERVED
from tickerd.plugin import (
    API_VERSION,
    Authenticator,
    Delivery,
    Options,
    Overflow,
    RateLimiter,
    ServingSink,
    Sink,
    Source,
    hooks,
)
from tickerd.plugin.options import ReloadClass
from tickerd.plugin.source import Replace

HOOKS = tuple(sorted(name for name in vars(hooks) if name.startswith("tickerd_")))
"""Names of all hooks."""

BASES: dict[str, tuple[type, ...]] = {
    "source": (Source,),
    "sink": (Sink, ServingSink),
    "authenticator": (Authenticator,),
    "rate_limiter": (RateLimiter,),
}
"""Kind → the classes of which a declared type must be a subclass."""

RESERVED: dict[str, Collection[str]] = {
    "source": SOURCE_RESERVED,
    "sink": SINK_RESERVED,
    "authenticator": AUTH_RESERVED,
    "rate_limiter": LIMIT_RESERVED,
}
"""Kind → names of options that every section of that kind has beside its plugin's own."""

_CHOICES = {"replace": get_args(Replace), "overflow": get_args(Overflow), "delivery": get_args(Delivery)}


def manager() -> pluggy.PluginManager:
    """An empty plugin manager that knows every hook."""
    made = pluggy.PluginManager(hooks.PROJECT)
    made.add_hookspecs(hooks)
    return made


def module_faults(module: object) -> Iterator[str]:
    """What is wrong with the module: its API version, and each hook that would never be called."""
    yield from _version_faults(module)
    yield from _unmarked(module)
    scratch = manager()
    try:
        scratch.register(module)
    except pluggy.PluginValidationError as error:
        yield " ".join(str(error).split())
        return
    for caller in scratch.get_hookcallers(module) or ():
        for impl in caller.get_hookimpls():
            if not caller.has_spec() and not impl.optionalhook:
                yield f"there is no hook {caller.name!r}{_did_you_mean(caller.name, HOOKS)}"
            elif inspect.iscoroutinefunction(impl.function):
                yield f"hook {caller.name!r} is async; hooks are plain functions that return at once"


def _version_faults(module: object) -> Iterator[str]:
    version = getattr(module, "TICKERD_API", None)
    if version is None:
        yield f"it does not say TICKERD_API = {API_VERSION}, so it is no plugin for this tickerd"
    elif version != API_VERSION:
        yield (
            f"it was written for plugin API {version!r} and this tickerd has {API_VERSION}; "
            "install versions of both that match"
        )


def _unmarked(module: object) -> Iterator[str]:
    """Functions that are named like a hook and lack the marker: pluggy passes over them in silence."""
    for name in HOOKS:
        function = getattr(module, name, None)
        if inspect.isroutine(function) and not hasattr(function, f"{hooks.PROJECT}_impl"):
            yield f"function {name!r} lacks the decorator @hookimpl and would never be called"


def called(kind: str) -> str:
    """A kind in a sentence, with its article."""
    return f"{'an' if kind[0] in 'aeiou' else 'a'} {kind.replace('_', ' ')}"


def type_faults(kind: str, declared: object) -> Iterator[str]:
    """What is wrong with a declared type.

    Args:
        kind: one of `BASES`.
        declared: what the plugin's hook returned.
    """
    bases = BASES[kind]
    if not (inspect.isclass(declared) and issubclass(declared, bases)):
        expected = " or ".join(base.__name__ for base in bases)
        yield f"its {kind.replace('_', ' ')} is {declared!r}, expected a subclass of {expected}"
        return
    name = declared.__name__
    if missing := getattr(declared, "__abstractmethods__", None):
        yield f"{name} does not define {', '.join(sorted(missing))}"
    for attribute, choices in _CHOICES.items():
        value = getattr(declared, attribute, choices[0])
        if value not in choices:
            yield f"{name}.{attribute} is {value!r}, expected one of {', '.join(choices)}"
    model = getattr(declared, "Options", None)
    if not (inspect.isclass(model) and issubclass(model, Options)):
        yield f"{name}.Options is {model!r}, expected a subclass of tickerd.plugin.Options"
        return
    yield from options_faults(model, RESERVED[kind], f"{name}.Options")


def options_faults(model: type[Options], reserved: Collection[str], where: str) -> Iterator[str]:
    """What is wrong with a model of options; ``where`` is how the text calls it."""
    config = model.model_config
    if config.get("extra") != "forbid" or not config.get("frozen"):
        yield f"{where} changes 'extra' or 'frozen' of its base, so mistakes would go unseen"
    for name, field in model.model_fields.items():
        written = field.alias or name
        if written in reserved:
            yield f"{where}: option {written!r} is reserved (every such unit has it); choose another name"
        extra = field.json_schema_extra
        if not (isinstance(extra, dict) and extra.get("reload") in get_args(ReloadClass)):
            yield f"{where}: option {name!r} does not say how a reload applies it; declare it with option(…)"
    yield from _undescribed(model, where, seen=set())


def _undescribed(model: type[BaseModel], where: str, seen: set[type[BaseModel]]) -> Iterator[str]:
    """Options without a description, those of models inside models too."""
    seen.add(model)
    for name, field in model.model_fields.items():
        if not field.description:
            yield f"{where}: option {name!r} has no description"
        for inner in _models(field.annotation):
            if inner not in seen:
                yield from _undescribed(inner, f"{where}.{name}", seen)


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    if inspect.isclass(annotation) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from _models(argument)


def _did_you_mean(name: str, known: Collection[str]) -> str:
    close = get_close_matches(name, known, n=1)
    return f" (did you mean {close[0]!r}?)" if close else ""
