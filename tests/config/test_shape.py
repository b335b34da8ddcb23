"""Tests of `tickerd.config.shape`."""

from typing import Annotated

from pydantic import BaseModel, Field, SecretStr

from tickerd.config import shape
from tickerd.config.compose import Composer
from tickerd.plugin import Duration, Names, NotSecret, Options, Size, option


class Inner(BaseModel):
    """Inside."""

    plain: str = ""
    hidden: SecretStr | None = None


class Model(BaseModel):
    """Outside."""

    inner: Inner | None = None
    many: list[Inner] = []
    secrets: dict[str, SecretStr] = {}
    aliased: Annotated[int, Field(alias="written")] = 1
    link: str = ""
    wait: Duration = 1.0
    room: Size = 1


def secret_values(text, model):
    root = Composer("f", text).compose()
    places = set(shape.secret_places(root, model))
    lines = text.split("\n")
    return [lines[p.line - 1][p.column - 1 : p.end_column - 1] for p in sorted(places)]


def test_keys_are_found_at_any_depth():
    assert "written" in shape.keys_at(Model, ())
    assert list(shape.keys_at(Model, ("inner",))) == ["plain", "hidden"]
    assert list(shape.keys_at(Model, ("many", 0))) == ["plain", "hidden"]
    assert list(shape.keys_at(Model, ("nothing",))) == []
    assert shape.field_at(Model, ("many", 0, "Inner", "hidden")) is Inner.model_fields["hidden"]


def test_secret_places_are_those_of_secret_types_unknown_keys_and_telling_names():
    text = (
        "inner: {plain: a, hidden: S1, other: S2}\n"
        "many: [{plain: b, hidden: S3}]\n"
        "secrets: {x: S4}\n"
        "link: http://u:S5@h\n"
        "written: 5\n"
        "token: [S6, {x: S7}]\n"
    )
    assert secret_values(text, Model) == ["S1", "S2", "S3", "S4", "http://u:S5@h", "S6", "S7"]
    assert secret_values("a: [S1]\nb: S2", None) == ["S1", "S2"]
    assert secret_values("secrets: S1", Model) == ["S1"]


def test_limits_are_written_with_their_units():
    fields = Model.model_fields
    assert shape.quantity(fields["wait"], 90) == "90s"
    assert shape.quantity(fields["wait"], 0.5) == "500ms"
    assert shape.quantity(fields["wait"], 2592000) == "30 days"
    assert shape.quantity(fields["wait"], 120) == "2m"
    assert shape.quantity(fields["wait"], 0) == "0s"
    assert shape.quantity(fields["room"], 65536) == "64KiB"
    assert shape.quantity(fields["room"], 100) == "100B"
    assert shape.quantity(fields["aliased"], 5) == "5"
    assert shape.quantity(None, 5) == "5"


class Door(Options):
    """Options whose names sound like secrets."""

    auth: Names = option((), doc="Names.")
    own_auth: Names | None = option(None, doc="Names or nothing.")
    keys: Annotated[int, NotSecret()] = option(1, doc="A number.")
    api_key: str = option("", doc="A secret.")


class Doors(Options):
    """Options inside options."""

    doors: tuple[Door, ...] = option((), doc="Several.")
    named: dict[str, Door] = option({}, doc="By name.")
    front: Door | None = option(None, doc="One.", alias="main")


def test_what_is_marked_as_no_secret_may_be_shown_whatever_it_is_called():
    text = "front: {auth: [a], own_auth: [b], keys: 5, api_key: S1, other: S2}\n"
    assert secret_values(text.replace("front", "main"), Doors) == ["S1", "S2"]


def test_where_that_is_in_a_model():
    made = Doors.model_validate({"doors": [{"auth": ["a"]}], "named": {"x": {}}, "main": {"keys": 2}})
    below = {("auth",), ("own_auth",), ("keys",)}
    assert set(shape.public_paths(made, ("top",))) == {
        ("top", *door, *path) for door in (("doors", 0), ("named", "x"), ("main",)) for path in below
    }
    assert list(shape.public_paths("text")) == []
