"""How a plugin that serves clients declares where it listens: option types, checked for every such plugin alike.

A sink whose options have ``listen: Listen`` and ``auth: Names`` gets the rules of the control API with them: each
name in ``auth`` must be one under the section ``auth``, a TCP listener needs one of them, an address that others can
reach needs TLS or a word that it does not, and no address is listened on twice.
"""

import ipaddress
import re
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BeforeValidator,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    SerializerFunctionWrapHandler,
    WithJsonSchema,
    model_serializer,
    model_validator,
)
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from tickerd.plugin.options import NotSecret, Options, option
from tickerd.plugin.scopes import Scope

_PORT = r"(?:[1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])"
_HOST = r"(?:\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?)"
_LONGEST_PATH = 107
_TCP_TEXT = rf"{_HOST}:{_PORT}"
_UNIX_TEXT = rf"unix:[^\x00-\x1f\x7f]{{1,{_LONGEST_PATH}}}"
_NETWORK_TEXT = r"^[0-9A-Fa-f:.]{2,45}(/[0-9]{1,3})?$"

_TCP = re.compile(_TCP_TEXT)
_UNIX = re.compile(_UNIX_TEXT)
_HOST_NAME = re.compile(rf"(?:\*\.)?{_HOST}(?::{_PORT})?")
_ORIGIN = re.compile(rf"https?://{_HOST}(?::{_PORT})?")


def _address(value: Any) -> str:
    if isinstance(value, str) and (_TCP.fullmatch(value) or _is_socket(value)):
        return value
    text = "expected an address: HOST:PORT such as '127.0.0.1:7801', or 'unix:/PATH'"
    raise PydanticCustomError("address", text)


def _is_socket(value: str) -> bool:
    """The kernel counts bytes, not letters."""
    path = value.removeprefix("unix:")
    return _UNIX.fullmatch(value) is not None and len(path.encode()) <= _LONGEST_PATH


def _network(value: Any) -> IPv4Network | IPv6Network:
    if isinstance(value, IPv4Network | IPv6Network):
        return value
    try:
        return ipaddress.ip_network(value if isinstance(value, str) else "")
    except ValueError:
        text = "expected a network such as '10.0.0.0/8' or 'fd00::/8', or one address"
        raise PydanticCustomError("network", text) from None


def _host_name(value: str) -> str:
    if _HOST_NAME.fullmatch(value):
        return value.lower()
    raise PydanticCustomError("host", "expected a host as clients write it, such as 'ticks.example.com:7801'")


def _origin(value: str) -> str:
    if _ORIGIN.fullmatch(value):
        return value.lower()
    raise PydanticCustomError("origin", "expected an origin such as 'https://ticks.example.com'")


def _distinct(value: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(dict.fromkeys(value))


class _OneOrSeveral:
    """Metadata of a list: one that stands alone is a list of one."""

    @staticmethod
    def listed(value: Any) -> Any:
        """As a list, whatever was written."""
        return [value] if isinstance(value, str | dict | Options) else value

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_before_validator_function(self.listed, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        several = handler(schema)
        return {"anyOf": [several["items"], several]}


_ADDRESS_SCHEMA: dict[str, Any] = {
    "type": "string",
    "pattern": f"^({_UNIX_TEXT}|{_TCP_TEXT})$",
    "examples": ["127.0.0.1:7801", "unix:/run/tickerd.sock"],
}

Address = Annotated[str, BeforeValidator(_address), WithJsonSchema(_ADDRESS_SCHEMA)]
"""Where to listen: ``HOST:PORT`` (IPv6 in brackets), or ``unix:`` and a path, relative to the working directory."""

Network = Annotated[
    IPv4Network | IPv6Network,
    BeforeValidator(_network),
    WithJsonSchema({"type": "string", "pattern": _NETWORK_TEXT, "examples": ["10.0.0.0/8"]}),
]
"""An IP network, or one address."""

Networks = Annotated[tuple[Network, ...], AfterValidator(_distinct)]
Names = Annotated[tuple[str, ...], AfterValidator(_distinct), NotSecret()]
"""Names of sections, such as those under ``auth``, each once."""
HostNames = Annotated[tuple[Annotated[str, AfterValidator(_host_name)], ...], AfterValidator(_distinct)]
"""Values of the ``Host`` header: ``NAME`` for any port, ``NAME:PORT``, ``*.NAME``."""
WebOrigins = Annotated[tuple[Annotated[str, AfterValidator(_origin)], ...], AfterValidator(_distinct)]
"""Web pages by their ``Origin``: ``https://NAME[:PORT]``."""


class TlsSettings(Options):
    """The certificate of a listener."""

    cert: Path = option(doc="PEM file with the certificate and those between it and the root.")
    key: Annotated[Path, NotSecret()] = option(doc="PEM file with its private key.")


class ListenSettings(Options):
    """One address to listen on; an address alone stands for one without further options."""

    address: Address = option(doc="`HOST:PORT` or `unix:/PATH`.")
    auth: Names | None = option(
        None, doc="Names under `auth`, asked in this order. Default: those of the whole section."
    )
    scopes: Annotated[tuple[Scope, ...], AfterValidator(_distinct)] | None = option(
        None,
        doc="Of a Unix socket: what may be done without a credential by those who can open it; all by default.",
    )
    tls: TlsSettings | None = option(None, doc="Certificate and key; without them nothing is encrypted.")
    allow_plaintext: bool = option(
        False, doc="Accept that keys travel unencrypted, on an address that others can reach."
    )

    @model_validator(mode="before")
    @classmethod
    def _short(cls, value: Any) -> Any:
        return {"address": value} if isinstance(value, str) else value

    @model_serializer(mode="wrap", when_used="json")
    def _written(self, handler: SerializerFunctionWrapHandler) -> Any:
        """As one would write it: the address alone where that is all."""
        plain = handler(self)
        fields = type(self).model_fields
        said = {key: value for key, value in plain.items() if getattr(self, key) != fields[key].default}
        return self.address if said.keys() == {"address"} else said

    @classmethod
    def __get_pydantic_json_schema__(
        cls, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        made = handler.resolve_ref_schema(handler(schema))
        return {"anyOf": [_ADDRESS_SCHEMA, made]}

    @property
    def is_unix(self) -> bool:
        """Whether it is a Unix socket."""
        return self.address.startswith("unix:")


Listen = Annotated[tuple[ListenSettings, ...], _OneOrSeveral()]
"""Where to listen: one address or several; a plugin's option of this type is best called ``listen``."""


def is_loopback(address: str) -> bool:
    """Whether only this host can reach ``HOST:PORT``.

    A name is not looked up; but for ``localhost`` it may be any.
    """
    host = address.rpartition(":")[0].strip("[]").lower()
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
