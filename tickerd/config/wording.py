"""Says in our words what pydantic found wrong with a value; from types and limits, never from the value."""

from collections.abc import Callable, Mapping
from typing import Any

from tickerd.config.problem import closest

_TEXT = "expected text"
_WHOLE = "expected a whole number"
_NUMBER = "expected a number"
_BOOL = "expected true or false"
_LIST = "expected a list"
_MAPPING = "expected a mapping of keys and values"

_TYPES = {
    _TEXT: "string_type string_sub_type string_unicode path_type bytes_type url_type",
    _WHOLE: "int_type int_parsing int_from_float int_parsing_size",
    _NUMBER: "float_type float_parsing decimal_type decimal_parsing",
    _BOOL: "bool_type bool_parsing",
    _LIST: "list_type tuple_type set_type frozen_set_type iterable_type",
    _MAPPING: "dict_type mapping_type model_type model_attributes_type dataclass_type",
    "expected a finite number": "finite_number",
    "expected nothing": "none_required",
    "expected a URL": "url_parsing url_syntax_violation",
    "expected a UUID": "uuid_type uuid_parsing",
    "required key is missing": "missing",
    "unknown key": "extra_forbidden",
}
_FIXED = {kind: text for text, kinds in _TYPES.items() for kind in kinds.split()}

_LIMITS = {
    "greater_than": ("must be more than {}", "gt"),
    "greater_than_equal": ("must be at least {}", "ge"),
    "less_than": ("must be less than {}", "lt"),
    "less_than_equal": ("must be at most {}", "le"),
    "multiple_of": ("must be a multiple of {}", "multiple_of"),
    "string_pattern_mismatch": ("does not have the form {}", "pattern"),
}

_COUNTS = {
    "too_short": ("needs at least {}", "min_length", "item"),
    "too_long": ("can hold at most {}", "max_length", "item"),
    "string_too_short": ("needs at least {}", "min_length", "character"),
    "string_too_long": ("can have at most {}", "max_length", "character"),
}

_CHOICES = {"literal_error": "expected", "enum": "expected", "union_tag_invalid": "expected_tags"}
"""Type → where its context lists the choices."""

_PLUGINS_OWN = ("value_error", "assertion_error")

Quantity = Callable[[float], str]
"""Writes a limit with its unit, as the YAML does."""


def is_own_text(kind: str) -> bool:
    """Whether the message is a validator's own, which may have put a value into it."""
    return kind not in _FIXED and kind not in _LIMITS and kind not in _COUNTS and kind not in _CHOICES


def message(error: Mapping[str, Any], quantity: Quantity = str) -> str:
    """What is wrong, for one item of ``ValidationError.errors()``."""
    kind, context = error["type"], error.get("ctx", {})
    if kind in _FIXED:
        return _FIXED[kind]
    if kind in _LIMITS:
        text, key = _LIMITS[kind]
        limit = context[key]
        return text.format(quantity(limit) if isinstance(limit, int | float) else repr(limit))
    if kind in _COUNTS:
        text, key, unit = _COUNTS[kind]
        return text.format(f"{context[key]} {unit}{'' if context[key] == 1 else 's'}")
    if kind in _CHOICES:
        return f"expected {context[_CHOICES[kind]]}"
    text = str(context["error"]) if kind in _PLUGINS_OWN and "error" in context else str(error["msg"])
    return _lowered(text.strip().removesuffix(".")) or "cannot be used"


def hint(error: Mapping[str, Any], value: Any) -> str:
    """What may help. The value decides which hint, and is not part of it."""
    kind, context = error["type"], error.get("ctx", {})
    if kind in _CHOICES:
        names = context[_CHOICES[kind]].replace(" or ", ", ").split(", ")
        return closest(value, [name.strip("'") for name in names])
    if kind == "missing":
        return ""
    if value is None:
        return "nothing is written here"
    if _FIXED.get(kind) == _TEXT and isinstance(value, bool | int | float):
        return "put it in quotes"
    return ""


def either(messages: list[str]) -> str:
    """One message for a value that fits none of several types."""
    distinct = list(dict.fromkeys(messages))
    if len(distinct) == 1:
        return distinct[0]
    expected = [text for text in distinct if text.startswith("expected ")]
    if len(expected) < len(distinct):  # it is of one of the types, and breaks a rule of it
        return next(text for text in distinct if text not in expected)
    return "expected " + " or ".join(text.removeprefix("expected ") for text in expected)


def _lowered(text: str) -> str:
    """Our texts begin in lower case; names in capitals stay."""
    return text[:1].lower() + text[1:] if text[1:2].islower() else text
