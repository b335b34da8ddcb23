"""The JSON Schema of the whole file, made from the installed plugins; editors complete and check by it."""

import re
from collections.abc import Callable, Mapping
from typing import Any

from pydantic import BaseModel

from tickerd.config.access import (
    DEFAULT_LIMITER,
    AuthOptions,
    ControlSettings,
    HooksSettings,
    RateLimitOptions,
)
from tickerd.config.plugin_types import PluginTypes
from tickerd.config.problem import PluginProblem
from tickerd.config.settings import (
    NAME,
    CalendarOptions,
    JournalSettings,
    LimitSettings,
    LogSettings,
    Settings,
    SinkOptions,
    SourceOptions,
    StateSettings,
)
from tickerd.plugin import RATE_CLASSES

DIALECT = "https://json-schema.org/draft/2020-12/schema"

_REFERENCE = {
    "type": "string",
    "pattern": r"\$\{(env|file|credential):[^{}]+\}",
    "description": "A reference: ${env:NAME}, ${file:/path} or ${credential:name}.",
}
_TO_REFERENCE = {"$ref": "#/$defs/reference"}
_SCALARS = {"string", "integer", "number", "boolean", "null"}
_NARROWING = {"pattern", "enum", "const", "format", "minLength", "maxLength"}
_NOTES = ("description", "default", "examples", "reload", "deprecated", "writeOnly")
"""Keywords that say something about a value and do not judge it."""

Schema = dict[str, Any]


def schema(types: PluginTypes) -> Schema:
    """The schema of the whole file. Imports every plugin; leaves out those that cannot be used."""
    definitions: Schema = {"reference": _REFERENCE}
    sections = {
        "sources": _units("source", SourceOptions, _models(types, "source"), definitions),
        "sinks": _units("sink", SinkOptions, _models(types, "sink"), definitions),
        "extensions": {"type": ["array", "null"], "items": {"type": "string"}, "uniqueItems": True},
        "auth": _units("authenticator", AuthOptions, _models(types, "authenticator"), definitions),
        "rate_limits": _rate_limits(types, definitions),
        "control": _switchable("control", ControlSettings, definitions),
        "hooks": _switchable("hooks", HooksSettings, definitions),
        "state": _section("state", StateSettings, definitions),
        "calendar": _section("calendar", CalendarOptions, definitions),
        "journal": _switchable("journal", JournalSettings, definitions),
        "log": _section("log", LogSettings, definitions),
        "limits": _section("limits", LimitSettings, definitions),
    }
    for name, section in sections.items():
        section["description"] = Settings.model_fields[name].description
    sections["sources"]["minProperties"] = 1
    return {
        "$schema": DIALECT,
        "title": "tickerd configuration",
        "type": "object",
        "properties": sections,
        "required": ["sources"],
        "additionalProperties": False,
        "$defs": dict(sorted(definitions.items())),
    }


def _switchable(name: str, model: type[BaseModel], definitions: Schema) -> Schema:
    section = _section(name, model, definitions)
    section["anyOf"].append({"const": "off"})
    return section


def _rate_limits(types: PluginTypes, definitions: Schema) -> Schema:
    """Keys are the route classes; each may leave out the plugin, and then has the options of the bundled one."""
    section = _units("rate_limiter", RateLimitOptions, _models(types, "rate_limiter"), definitions)
    section["propertyNames"] = {"enum": list(RATE_CLASSES)}
    unit = definitions["rate_limiter"]
    del unit["required"]
    bundled = definitions.get(f"rate_limiter.{DEFAULT_LIMITER}")
    if bundled is not None:
        bundled["required"].remove("use")
        rule = {"not": {"required": ["use"]}}
        unit["allOf"].append({"if": rule, "then": {"$ref": f"#/$defs/rate_limiter.{DEFAULT_LIMITER}"}})
    # a class that is mentioned and left empty keeps its defaults
    section["additionalProperties"] = {"anyOf": [section["additionalProperties"], {"type": "null"}]}
    return section


def _models(types: PluginTypes, kind: str) -> dict[str, type[BaseModel]]:
    """The option models of all plugins that have a type of this kind."""
    finders: dict[str, Callable[[str], Any]] = {
        "source": types.source,
        "sink": types.sink,
        "authenticator": types.authenticator,
        "rate_limiter": types.rate_limiter,
    }
    found: dict[str, type[BaseModel]] = {}
    for name in types.names(kind):
        try:
            declared = finders[kind](name)
        except PluginProblem:
            continue
        found[name] = declared.Options
    return found


def _units(
    kind: str, common: type[BaseModel], models: Mapping[str, type[BaseModel]], definitions: Schema
) -> Schema:
    """A section of named units; ``use`` decides which options one has."""
    shared = _model(f"{kind}", common, definitions)
    use = {"enum": sorted(models), "description": shared["properties"]["use"]["description"]}
    choices = []
    for name, model in sorted(models.items()):
        where = f"{kind}.{name}"
        definitions[where] = _joined(shared, _model(where, model, definitions), name)
        rule = {"properties": {"use": {"const": name}}, "required": ["use"]}
        choices.append({"if": rule, "then": {"$ref": f"#/$defs/{where}"}})
    definitions[kind] = {"type": "object", "properties": {"use": use}, "required": ["use"]}
    if choices:  # an empty list is not allowed there
        definitions[kind]["allOf"] = choices
    return {
        "type": "object" if kind == "source" else ["object", "null"],
        "propertyNames": {"pattern": f"^{NAME}$"},
        "additionalProperties": {"$ref": f"#/$defs/{kind}"},
    }


def _joined(shared: Schema, own: Schema, name: str) -> Schema:
    """One plugin's options and those that every unit of its kind has."""
    properties = {"use": {"const": name}} | own.get("properties", {})
    properties |= {key: value for key, value in shared["properties"].items() if key != "use"}
    return {**own, "properties": properties, "required": ["use", *own.get("required", [])]}


def _section(name: str, model: type[BaseModel], definitions: Schema) -> Schema:
    definitions[name] = _model(name, model, definitions)
    return {"anyOf": [{"$ref": f"#/$defs/{name}"}, {"type": "null"}]}


def _model(where: str, model: type[BaseModel], definitions: Schema) -> Schema:
    """A model's schema; the models inside it go to the definitions under names of their own."""
    made = model.model_json_schema(by_alias=True, mode="validation")
    inner = made.pop("$defs", {})
    for name, part in inner.items():
        definitions[f"{where}.{name}"] = _rewritten(part, where)
    made.pop("description", None)
    rewritten: Schema = _rewritten(made, where)
    return rewritten


def _rewritten(value: Any, where: str) -> Any:
    """Without pydantic's titles, with our names of definitions, and with references allowed for scalars."""
    if isinstance(value, list):
        return [_rewritten(one, where) for one in value]
    if not isinstance(value, dict):
        return value
    out: Schema = {}
    for key, inner in value.items():
        if key == "title":
            continue
        if key == "$ref":
            out[key] = re.sub(r"^#/\$defs/", f"#/$defs/{where}.", inner)
        elif key in ("properties", "patternProperties"):
            out[key] = {name: _rewritten(one, where) for name, one in inner.items()}
        elif key in ("default", "examples", "enum", "const", "required", "discriminator"):
            out[key] = inner
        elif key in ("anyOf", "oneOf"):
            out[key] = [_rewritten(one, where) for one in inner]
        else:
            out[key] = _rewritten(inner, where)
    return _or_reference(out)


def _or_reference(value: Schema) -> Schema:
    """A scalar may also be a text with a reference in it."""
    if not _refuses_references(value):
        return value
    notes = {key: value[key] for key in _NOTES if key in value}
    bare = {key: inner for key, inner in value.items() if key not in notes}
    return {"anyOf": [bare, _TO_REFERENCE], **notes}


def _refuses_references(value: Schema) -> bool:
    kinds = value.get("type")
    kinds = {kinds} if isinstance(kinds, str) else set(kinds or ())
    if not kinds and not value.keys() & {"enum", "const"}:
        return False
    if not kinds <= _SCALARS:
        return False
    if value.get("format") == "password":
        return False
    return bool("string" not in kinds or value.keys() & _NARROWING) and kinds != {"null"}
