"""The description of the API, OpenAPI 3.1, generated from the table of routes."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec
from pydantic import BaseModel, TypeAdapter
from pydantic.json_schema import JsonSchemaMode

from tickerd.control.problem import CONTENT_TYPE, TITLES
from tickerd.control.replies import LONGEST, REPLAYED
from tickerd.control.route import Route, adapter
from tickerd.observe.picture import Shown
from tickerd.plugin.ratelimit import RATE_CLASSES
from tickerd.plugin.row import Row
from tickerd.plugin.scopes import SCOPES

API_VERSION = "1"
REF = "#/components/schemas/{model}"
_PATH_PARAMETER = re.compile(r"<(?:\w+:)?(\w+)>")
_ALWAYS = (400, 414, 429, 431, 500, 503)
"""Answers that every route may give."""

Json = dict[str, Any]


def describe(routes: Sequence[Route]) -> Json:
    """The whole document."""
    schemas = _Schemas(routes)
    paths: dict[str, Json] = {}
    for route in routes:
        paths.setdefault(_PATH_PARAMETER.sub(r"{\1}", route.path), {})[route.method.lower()] = _operation(
            route, schemas
        )
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "tickerd control API",
            "version": API_VERSION,
            "description": "Shows and steers one tickerd. Everything but health needs a credential.",
        },
        "paths": paths,
        "tags": [{"name": name} for name in sorted({_tag(route) for route in routes})],
        "components": {
            "schemas": schemas.components | {"Problem": problem_schema()} | dict(_row()),
            "securitySchemes": {
                "key": {"type": "http", "scheme": "bearer", "description": "An API key, `tkd_…`."}
            },
        },
        "x-scopes": dict(SCOPES),
        "x-rate-classes": {
            name: {"default": str(one.rate), "description": one.doc} for name, one in RATE_CLASSES.items()
        },
    }


class _Schemas:
    """The schemas of everything that routes take and answer, made at once so that names agree."""

    def __init__(self, routes: Sequence[Route]) -> None:
        inputs: list[tuple[Any, JsonSchemaMode, TypeAdapter[Any]]] = [
            ((route.operation, "body"), "validation", adapter(route.body))
            for route in routes
            if route.body is not None and issubclass(route.body, BaseModel)
        ]
        outputs: list[tuple[Any, JsonSchemaMode, TypeAdapter[Any]]] = [
            ((route.operation, "answer"), "serialization", adapter(route.answer))
            for route in routes
            if route.answer is not None
        ]
        made, definitions = TypeAdapter.json_schemas([*inputs, *outputs], ref_template=REF)
        self._made = {key[0]: schema for key, schema in made.items()}
        self.components: Json = definitions.get("$defs", {})
        _inherit_descriptions(self.components)

    def of(self, route: Route, part: str) -> Json:
        """Of a route's ``body`` or ``answer``."""
        raw: Json = {"type": "string"} if part == "answer" else {}
        return self._made.get((route.operation, part), raw)


def _inherit_descriptions(components: Json) -> None:
    """pydantic finds the texts below a dataclass's own fields, and not those of its bases."""
    kinds: list[type[Shown]] = [Shown]
    while kinds:
        kind = kinds.pop()
        kinds += kind.__subclasses__()
        lacking = [
            (name, field)
            for name, field in components.get(kind.__name__, {}).get("properties", {}).items()
            if "description" not in field
        ]
        for base in kind.__mro__[1:] if lacking else ():
            if not issubclass(base, Shown) or base is Shown:
                continue
            known = TypeAdapter[Any](base).json_schema(mode="serialization")["properties"]
            for name, field in lacking:
                if "description" in known.get(name, {}):
                    field.setdefault("description", known[name]["description"])


def _operation(route: Route, schemas: _Schemas) -> Json:
    operation: Json = {
        "operationId": route.operation,
        "summary": route.summary,
        "tags": [_tag(route)],
        "parameters": [*_path_parameters(route), *_query_parameters(route), *_headers(route)],
        "responses": _responses(route, schemas),
        "x-scope": route.scope,
        "x-rate-class": route.rate,
        "x-rate-cost": route.cost,
        "security": [{"key": []}] if route.scope else [{}, {"key": []}],
    }
    if route.description:
        operation["description"] = route.description
    if route.body is not None:
        content = {kind: {"schema": schemas.of(route, "body")} for kind in route.body_types}
        operation["requestBody"] = {"required": True, "content": content}
    return operation


def _tag(route: Route) -> str:
    parts = route.path.strip("/").split("/")
    return parts[1] if parts[0] == "v1" else "daemon"


def _path_parameters(route: Route) -> list[Json]:
    return [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}
        for name in _PATH_PARAMETER.findall(route.path)
    ]


def _query_parameters(route: Route) -> list[Json]:
    if route.query is None:
        return []
    schema = route.query.model_json_schema()
    parameters = []
    for name, property_ in schema["properties"].items():
        shown = {key: value for key, value in property_.items() if key not in ("title", "description")}
        parameter: Json = {"name": name, "in": "query", "schema": _without_null(shown)}
        parameter["required"] = name in schema.get("required", ())
        if "description" in property_:
            parameter["description"] = property_["description"]
        parameters.append(parameter)
    return parameters


def _headers(route: Route) -> list[Json]:
    if not route.changes:
        return []
    text = (
        "Any text of your own for this one change: sent again with it within a day, the request is not carried "
        f"out again, and the answer is that of the first, with `{REPLAYED}: true`."
    )
    schema = {"type": "string", "minLength": 1, "maxLength": LONGEST, "pattern": "^[!-~]+$"}
    return [
        {
            "name": "Idempotency-Key",
            "in": "header",
            "required": False,
            "description": text,
            "schema": schema,
        }
    ]


def _without_null(schema: Json) -> Json:
    """A query parameter is there or not; it is never null."""
    choices = [choice for choice in schema.get("anyOf", ()) if choice != {"type": "null"}]
    if len(choices) != 1:
        return schema
    rest = {key: value for key, value in schema.items() if key not in ("anyOf", "default")}
    return {**choices[0], **rest}


def _responses(route: Route, schemas: _Schemas) -> Json:
    schema = schemas.of(route, "answer")
    responses: Json = {
        str(route.status): {"description": "Done.", "content": {route.content_type: {"schema": schema}}},
    }
    own = dict(route.statuses)
    for status in sorted({*_statuses(route), *own}):
        responses[str(status)] = {
            "description": own.get(status) or f"{TITLES[status].capitalize()}.",
            "content": {CONTENT_TYPE: {"schema": {"$ref": REF.format(model="Problem")}}},
        }
    if route.is_probe and 503 in own:
        # the verdict itself, rather than a problem
        responses["503"]["content"] = {route.content_type: {"schema": schema}}
    return responses


def _statuses(route: Route) -> Iterable[int]:
    yield from _ALWAYS
    yield 401
    yield 403
    yield 421
    if route.body is not None:
        yield from (408, 413, 415)
    if route.changes:
        yield from (409, 422)


def problem_schema() -> Json:
    """RFC 9457, with what we add."""
    string = {"type": "string"}
    error = {"type": "object", "properties": {"at": string, "problem": string}, "required": ["at", "problem"]}
    return {
        "type": "object",
        "description": "What went wrong.",
        "properties": {
            "type": {**string, "description": "A URN that programs can compare."},
            "title": {**string, "description": "What kind of problem it is."},
            "status": {"type": "integer"},
            "detail": {**string, "description": "What is wrong and what to do, for people."},
            "request_id": {**string, "description": "To be looked for in the log."},
            "errors": {"type": "array", "items": error},
            "retry_after": {"type": "integer", "description": "Seconds after which to try again."},
        },
        "required": ["type", "title", "status"],
    }


def _row() -> Mapping[str, Any]:
    _, components = msgspec.json.schema_components([Row], ref_template="#/components/schemas/{name}")
    return components
