"""What a model of options looks like from outside: the keys it takes, and which of its values are secret."""

from collections.abc import Collection, Iterator
from typing import Any, get_args

from pydantic import BaseModel, SecretBytes, SecretStr
from pydantic.fields import FieldInfo

from tickerd.config.excerpt import holds_login, looks_secret
from tickerd.config.nodes import Mapping, Node, Place, Scalar, children, scalars
from tickerd.config.problem import Path
from tickerd.plugin import Duration, NotSecret, Size

_WRITERS = {parser: writer.func for _, parser, _, writer in (get_args(Duration), get_args(Size))}
"""The parser that marks a field as a duration or size → what writes such a value."""


def written_name(name: str, field: FieldInfo) -> str:
    """The key of a field in YAML."""
    alias = field.validation_alias or field.alias
    return alias if isinstance(alias, str) else name


def fields(model: type[BaseModel]) -> dict[str, FieldInfo]:
    """A model's fields by their keys in YAML."""
    return {written_name(name, field): field for name, field in model.model_fields.items()}


def models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    """Every model that a type's values may be, or hold."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from models_in(argument)


def field_at(model: type[BaseModel], path: tuple[str | int, ...]) -> FieldInfo | None:
    """The field that a path (with pydantic's additions) leads to."""
    found: FieldInfo | None = None
    candidates: list[type[BaseModel]] = [model]
    for part in path:
        fitting = [fields(one)[part] for one in candidates if isinstance(part, str) and part in fields(one)]
        if fitting:
            found = fitting[0]
            candidates = [inner for field in fitting for inner in models_in(field.annotation)]
    return found


def keys_at(model: type[BaseModel], path: tuple[str | int, ...]) -> Collection[str]:
    """The keys that may stand in the mapping that a path leads to."""
    if not path:
        return list(fields(model))
    field = field_at(model, path)
    return [] if field is None else [key for one in models_in(field.annotation) for key in fields(one)]


def quantity(field: FieldInfo | None, limit: float) -> str:
    """A limit as the YAML would write it."""
    metadata = field.metadata if field is not None else []
    writer = next((writer for parser, writer in _WRITERS.items() if parser in metadata), str)
    return writer(limit)


def secret_places(node: Node, annotation: Any, key: str | None = None) -> Iterator[Place]:
    """Places of all scalars that must not be shown: of a secret type, or under an unknown or telling key.

    Args:
        node: what was written.
        annotation: the type it should be of; None when that is not known, which makes all of it secret.
        key: the key under which it stands.
    """
    if annotation is None or looks_secret(key) or _holds_secrets(annotation):
        yield from (scalar.place for scalar in scalars(node))
    elif isinstance(node, Scalar):
        if holds_login(node.value):
            yield node.place
    elif isinstance(node, Mapping) and (models := list(models_in(annotation))):
        for name, value in children(node):
            found = next((fields(one)[str(name)] for one in models if str(name) in fields(one)), None)
            yield from secret_places_of(value, found, str(name))
    else:
        for name, value in children(node):
            yield from secret_places(value, annotation, name if isinstance(name, str) else key)


def secret_places_of(node: Node, field: FieldInfo | None, key: str) -> Iterator[Place]:
    """The same for what stands under a key, by the field that it is for; None when there is no such field."""
    known = None if field is None else field.annotation
    return secret_places(node, known, None if field is not None and is_public(field) else key)


def is_public(field: FieldInfo) -> bool:
    """Whether its values may be shown, whatever the option is called."""
    return any(isinstance(one, NotSecret) for one in (*field.metadata, *_metadata(field.annotation)))


def _metadata(annotation: Any) -> Iterator[Any]:
    """What stands beside the types of a union."""
    yield from getattr(annotation, "__metadata__", ())
    for argument in get_args(annotation):
        yield from _metadata(argument)


def public_paths(value: Any, path: Path = ()) -> Iterator[Path]:
    """Paths of the options, in a model or in what holds models, that may be shown whatever they are called."""
    if isinstance(value, BaseModel):
        for name, field in type(value).model_fields.items():
            below = (*path, written_name(name, field))
            if is_public(field):
                yield below
            yield from public_paths(getattr(value, name), below)
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield from public_paths(inner, (*path, key))
    elif isinstance(value, tuple | list):
        for index, inner in enumerate(value):
            yield from public_paths(inner, (*path, index))


def _holds_secrets(annotation: Any) -> bool:
    """Whether a type is secret, or a collection or union with one (models are looked at field by field)."""
    if isinstance(annotation, type) and issubclass(annotation, SecretStr | SecretBytes):
        return True
    return any(_holds_secrets(argument) for argument in get_args(annotation))
