"""What callers send: query strings and bodies as the models of routes, and every mistake in them as a problem."""

from collections.abc import Mapping
from types import UnionType
from typing import Any, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from werkzeug.datastructures import MultiDict

from tickerd.control.problem import Problem
from tickerd.control.route import Input, Route

_MOST_ERRORS = 20


def parse_body(route: Route, data: bytes, media_type: str | None, encoding: str) -> Any:
    """The body as the route wants it.

    Raises:
        Problem: with every mistake in it.
    """
    if route.body is None:
        if data:
            raise Problem(400, "this route takes no body")
        return None
    if encoding != "identity":
        raise Problem(415, "send the body without Content-Encoding")
    if media_type not in route.body_types:
        raise Problem(415, f"send the body as {' or '.join(route.body_types)}")
    if not issubclass(route.body, BaseModel):
        return data
    try:
        return route.body.model_validate_json(data)
    except ValidationError as error:
        raise invalid(error, "body") from None


def parse_query(model: type[Input] | None, given: "MultiDict[str, str]") -> Input | None:
    """The query string as the route's model.

    Raises:
        Problem: with every mistake in it.
    """
    if model is None:
        if given:
            raise Problem(400, "this route takes no query parameters")
        return None
    values: dict[str, Any] = {}
    errors: list[dict[str, str]] = []
    for name, texts in given.lists():
        field = model.model_fields.get(name)
        if field is not None and _is_list(field.annotation):
            values[name] = tuple(texts)
        elif len(texts) > 1:
            errors.append({"at": f"query.{_short(name)}", "problem": "given more than once"})
        else:
            values[name] = texts[0]
    if errors:
        raise Problem(400, "a query parameter is wrong", errors=errors)
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise invalid(error, "query") from None


def invalid(error: ValidationError, where: str) -> Problem:
    """Every mistake that pydantic found: its place, and what was expected; never what was sent."""
    errors = [
        {"at": ".".join([where, *(_short(str(part)) for part in mistake["loc"])]), "problem": _text(mistake)}
        for mistake in error.errors(include_url=False, include_context=False, include_input=False)
    ]
    first = errors[0]
    return Problem(400, f"{first['at']}: {first['problem']}", code="invalid", errors=errors[:_MOST_ERRORS])


def _text(mistake: Mapping[str, Any]) -> str:
    if mistake["type"] == "json_invalid":
        return "this is not JSON"
    if mistake["type"] == "extra_forbidden":
        return "unknown field"
    text = str(mistake["msg"])
    return text[:1].lower() + text[1:]


def _short(text: str) -> str:
    return text if len(text) <= 64 else f"{text[:64]}…"


def _is_list(annotation: Any) -> bool:
    origin = get_origin(annotation)
    if origin in (Union, UnionType):
        return any(map(_is_list, get_args(annotation)))
    return origin in (list, tuple, set, frozenset)
