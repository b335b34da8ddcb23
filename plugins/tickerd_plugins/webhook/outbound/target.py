"""Takes a URL apart, once and strictly: what is connected to is what was checked. Pure."""

import re
from dataclasses import dataclass

from tickerd_plugins.webhook.outbound.address import Address
from tickerd_plugins.webhook.outbound.errors import BadUrl
from tickerd_plugins.webhook.outbound.names import address_in, canonical

LONGEST = 2048

_PORTS = {"https": 443, "http": 80}
_VISIBLE = re.compile(r"[!-~]*")
_URL = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*):(?://(?P<authority>[^/?]*)(?P<rest>[/?].*)?|.*)")
_AUTHORITY = re.compile(r"(?:\[(?P<v6>[0-9A-Fa-f:.]*)\]|(?P<name>[^:\[\]]*))(?::(?P<port>[0-9]*))?")
_PORT = re.compile(r"[1-9][0-9]{0,4}")
_REST = re.compile(r"(?:[A-Za-z0-9\-._~!$&'()*+,;=:@/?]|%[0-9A-Fa-f]{2})*")


@dataclass(frozen=True, slots=True)
class Target:
    """Where a request goes. Made by `parse` only; nothing reads the URL's text again."""

    scheme: str
    host: str
    """A name in lower case without a final dot, or an address in its shortest form, IPv6 without brackets."""
    port: int
    resource: str
    """Path and query, as written; may hold a receiver's token, so it is not for logs."""

    @property
    def http(self) -> bool:
        """Without TLS."""
        return self.scheme == "http"

    @property
    def address(self) -> Address | None:
        """The address that the host is, if it is no name."""
        return address_in(self.host)

    @property
    def authority(self) -> str:
        """The value of the Host header."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def origin(self) -> str:
        """What logs may show."""
        return f"{self.scheme}://{self.authority}"

    @property
    def url(self) -> str:
        """The whole URL in its one spelling; as secret as its path is."""
        return f"{self.origin}{self.resource}"


def parse(url: str) -> Target:
    """Take a URL apart.

    Raises:
        BadUrl: it is not exactly ``https://host[:port][/path][?query]``, or ``http``.
    """
    if len(url) > LONGEST:
        raise BadUrl(f"the URL is longer than {LONGEST} characters")
    if not _VISIBLE.fullmatch(url):
        raise BadUrl("the URL has spaces, control characters, or characters outside ASCII; encode them")
    if "\\" in url:
        raise BadUrl("the URL has a backslash")
    if "#" in url:
        raise BadUrl("the URL has a fragment (#…), which is never sent")
    scheme, authority, rest = _parts(url)
    host, port = _authority(authority)
    if not _REST.fullmatch(rest):
        raise BadUrl("the path or query has characters that must be percent-encoded")
    return Target(scheme, host, port or _PORTS[scheme], rest if rest.startswith("/") else f"/{rest}")


def _parts(url: str) -> tuple[str, str, str]:
    match = _URL.fullmatch(url)
    if match is None:
        raise BadUrl("the URL does not begin with https://")
    scheme = match["scheme"].lower()
    if scheme not in _PORTS:
        raise BadUrl("the URL's scheme is not https")
    if not match["authority"]:
        raise BadUrl("the URL has no host behind https://")
    return scheme, match["authority"], match["rest"] or ""


def _authority(text: str) -> tuple[str, int | None]:
    if "@" in text:
        raise BadUrl("the URL has a user or password before its host; use headers or a secret instead")
    if "%" in text:
        raise BadUrl("the host has a percent sign")
    match = _AUTHORITY.fullmatch(text)
    if match is None:
        raise BadUrl("the URL's host and port cannot be read")
    if match["v6"] is not None and ":" not in match["v6"]:
        raise BadUrl("the brackets hold no IPv6 address")
    if match["port"] is not None and not _PORT.fullmatch(match["port"]):
        raise BadUrl("the URL's port is not a number between 1 and 65535")
    try:
        host = canonical(match["name"] if match["v6"] is None else match["v6"])
    except ValueError as error:
        raise BadUrl(str(error)) from None
    return host, int(match["port"]) if match["port"] else None
