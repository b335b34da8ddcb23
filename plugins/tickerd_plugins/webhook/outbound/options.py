"""The options of the sink that widen what it may post to. Only the YAML can set them."""

from ipaddress import ip_network
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BeforeValidator, PlainSerializer, WithJsonSchema, model_validator
from pydantic_core import PydanticCustomError

from tickerd.plugin import Options, option
from tickerd_plugins.webhook.outbound.address import Network, may_open
from tickerd_plugins.webhook.outbound.names import canonical
from tickerd_plugins.webhook.outbound.ports import never


def _network(value: Any) -> Network:
    try:
        network = ip_network(str(value))
    except ValueError:
        raise PydanticCustomError(
            "network", "expected a network such as '192.168.1.0/24', with no bits behind the prefix"
        ) from None
    if not may_open(network):
        raise PydanticCustomError(
            "network",
            "only a part of a private network (10/8, 172.16/12, 192.168/16, 100.64/10, 127/8, ::1, fc00::/7, "
            "64:ff9b::/96) or one public address can be opened; metadata services never",
        )
    return network


def _host(value: str) -> str:
    try:
        return canonical(value)
    except ValueError as error:
        raise PydanticCustomError("host", "{why}", {"why": str(error)}) from None


def _port(value: int) -> int:
    if why := never(value):
        raise PydanticCustomError("port", "{why}", {"why": why})
    return value


Subnet = Annotated[
    Any,
    BeforeValidator(_network),
    PlainSerializer(str, return_type=str),
    WithJsonSchema({"type": "string", "examples": ["192.168.1.0/24"]}),
]
Host = Annotated[str, AfterValidator(_host)]
Port = Annotated[int, AfterValidator(_port)]
"""A port that no other service is known by."""


class AllowPrivate(Options):
    """One exception from the rule that endpoints are public: a network, or one server in it.

    Written as a network, ``"192.168.1.0/24"``, or as a mapping that names the server too.
    """

    network: Subnet = option(doc="Network whose addresses may be posted to, for example `192.168.1.0/24`.")
    host: Host | None = option(
        None, doc="Only for URLs with this host; one without a dot is allowed here, such as `nas`."
    )
    port: Port | None = option(
        None, doc="Only for URLs with this port, which then may be an unusual one.", ge=1, le=65535
    )
    http: bool = option(
        False, doc="Also without TLS: whoever is on that network can read and change deliveries."
    )

    @model_validator(mode="before")
    @classmethod
    def _short_form(cls, value: Any) -> Any:
        return {"network": value} if isinstance(value, str) else value

    @model_validator(mode="after")
    def _narrow(self) -> Self:
        if self.port is not None and self.host is None:
            raise PydanticCustomError("narrow", "a port is opened for one server only: name its host, too")
        if self.http and self.port is None:
            raise PydanticCustomError(
                "narrow", "http is opened for one server only: name its host and port, too"
            )
        return self

    def names(self, host: str, port: int, *, usual: bool, http: bool) -> bool:
        """Whether this exception is for exactly this server: an unusual port or http must be named, too."""
        right_port = self.port == port or (self.port is None and usual)
        return self.host == host and right_port and self.http >= http

    def covers(self, host: str, port: int) -> bool:
        """Whether this exception is for a URL that only its address makes unusual."""
        return self.host in (None, host) and self.port in (None, port)
