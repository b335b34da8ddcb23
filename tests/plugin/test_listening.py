"""Option types of whatever listens: what may be written, and how it is shown."""

from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from tickerd.plugin import (
    Address,
    HostNames,
    Listen,
    ListenSettings,
    Names,
    Networks,
    Options,
    WebOrigins,
    option,
)
from tickerd.plugin.listening import is_loopback

LISTEN: TypeAdapter[tuple[ListenSettings, ...]] = TypeAdapter(Listen)


class Served(Options):
    """Options of a plugin that serves."""

    listen: Listen = option(("127.0.0.1:7800",), doc="Where.", min_length=1)


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1:7801", "[::1]:80", "localhost:1", "ticks.example.com:65535", "unix:/run/a.sock", "unix:run/a b.sock",
     "unix:" + "a" * 107],
)  # fmt: skip
def test_what_is_an_address(address: str) -> None:
    assert TypeAdapter(Address).validate_python(address) == address


@pytest.mark.parametrize(
    "address",
    ["", "7801", ":7801", "127.0.0.1", "127.0.0.1:0", "127.0.0.1:65536", "127.0.0.1:x", "unix:", "unix:/a\nb",
     "http://127.0.0.1:1", "127.0.0.1:1 ", "unix:" + "a" * 108, "unix:" + "ä" * 54, "::1:80", 7801, None],
)  # fmt: skip
def test_what_is_no_address(address: Any) -> None:
    with pytest.raises(ValidationError, match="expected an address"):
        ListenSettings.model_validate({"address": address})


@pytest.mark.parametrize(
    ("address", "loopback"),
    [
        ("127.0.0.1:1", True), ("127.9.9.9:1", True), ("[::1]:1", True), ("localhost:1", True), ("LOCALHOST:1", True),
        ("0.0.0.0:1", False), ("[::]:1", False), ("10.0.0.1:1", False), ("localhost.example.com:1", False),
    ],
)  # fmt: skip
def test_what_only_this_host_reaches(address: str, loopback: bool) -> None:
    assert is_loopback(address) is loopback


@pytest.mark.parametrize(
    "written",
    [
        "127.0.0.1:1",
        ["127.0.0.1:1"],
        {"address": "127.0.0.1:1"},
        [{"address": "127.0.0.1:1"}],
        ListenSettings(address="127.0.0.1:1"),
    ],
)
def test_one_address_may_stand_alone(written: Any) -> None:
    assert LISTEN.validate_python(written) == (ListenSettings(address="127.0.0.1:1"),)


@pytest.mark.parametrize("written", [7, None, {"adress": "127.0.0.1:1"}, ["x"]])
def test_what_says_nowhere_is_refused(written: Any) -> None:
    with pytest.raises(ValidationError):
        LISTEN.validate_python(written)


def test_a_default_is_read_like_what_is_written() -> None:
    assert Served().listen == (ListenSettings(address="127.0.0.1:7800"),)
    with pytest.raises(ValidationError):
        Served(listen=())


def test_as_json_it_is_as_short_as_one_would_write_it() -> None:
    plain, full = (
        ListenSettings(address="unix:/a"),
        ListenSettings(address="unix:/b", scopes=("status:read",)),
    )
    assert LISTEN.dump_python((plain, full), mode="json") == [
        "unix:/a",
        {"address": "unix:/b", "scopes": ["status:read"]},
    ]
    assert LISTEN.validate_python(LISTEN.dump_python((plain, full), mode="json")) == (plain, full)
    assert (plain.is_unix, ListenSettings(address="a:1").is_unix) == (True, False)


def test_the_schema_takes_one_and_several() -> None:
    (one, several) = Served.model_json_schema()["properties"]["listen"]["anyOf"]
    assert several == {"type": "array", "items": one, "minItems": 1}
    forms = Served.model_json_schema()["$defs"]["ListenSettings"]["anyOf"]
    assert [form["type"] for form in forms] == ["string", "object"]


@pytest.mark.parametrize(
    ("kind", "good", "bad"),
    [
        (
            HostNames,
            ["Ticks.example.com", "ticks.example.com:7801", "[::1]:80", "*.example.com"],
            ["a/b", "", "a b", "http://a"],
        ),
        (
            WebOrigins,
            ["https://a.example", "http://localhost:3000"],
            ["a.example", "https://a/", "null", "*"],
        ),
        (Networks, ["10.0.0.0/8", "::1", "192.168.1.1"], ["10.0.0.1/8", "proxy", "", 3]),
        (Names, ["keys", "a"], [1, None]),
    ],
)
def test_lists_of_names(kind: Any, good: list[Any], bad: list[Any]) -> None:
    assert len(TypeAdapter(kind).validate_python([*good, *good])) == len(good)
    assert TypeAdapter(kind).validate_python(TypeAdapter(kind).validate_python(good))
    for one in bad:
        with pytest.raises(ValidationError):
            TypeAdapter(kind).validate_python([one])
