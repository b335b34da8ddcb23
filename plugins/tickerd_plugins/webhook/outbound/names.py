"""Host names as a URL may have them: one spelling each, nothing that two parsers read differently. Pure."""

import re
import unicodedata
from ipaddress import IPv4Address, IPv6Address

import idna

LOCAL_SUFFIXES = (
    "localhost", "local", "internal", "home.arpa", "in-addr.arpa", "ip6.arpa", "onion", "svc", "cluster.local",
)  # fmt: skip

_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")
_LONGEST = 253
_LOOK_LATIN = frozenset(map(chr, (
    0x430, 0x435, 0x43E, 0x440, 0x441, 0x443, 0x445, 0x44C, 0x455, 0x456, 0x458, 0x4BB, 0x4CF, 0x501, 0x51B, 0x51D,
)))  # fmt: skip
"""Cyrillic letters that pass for Latin ones; a name of nothing else is there to deceive."""


def canonical(host: str) -> str:
    """The one spelling of a host: lower case, no final dot, addresses in their shortest form, IPv6 without brackets.

    Raises:
        ValueError: with what is wrong.
    """
    host = host.lower()
    if ":" in host:
        return _ipv6(host)
    if not host.isascii():
        raise ValueError("the host has characters outside ASCII: write it in its encoded form (xn--…)")
    host = host.removesuffix(".")
    labels = host.split(".")
    # as URL parsers of browsers do: what ends in a number is an IPv4 address or nothing
    if _NUMBER.fullmatch(labels[-1]):
        return _ipv4(host)
    if len(host) > _LONGEST:
        raise ValueError(f"the host name is longer than {_LONGEST} characters")
    for label in labels:
        _check_label(label)
    return host


def is_local(host: str) -> bool:
    """Whether a canonical name can only mean something of this machine or network."""
    return "." not in host or any(host == suffix or host.endswith(f".{suffix}") for suffix in LOCAL_SUFFIXES)


def address_in(host: str) -> IPv4Address | IPv6Address | None:
    """The address that a canonical host is, or None when it is a name."""
    try:
        return IPv6Address(host) if ":" in host else IPv4Address(host)
    except ValueError:
        return None


def _ipv6(host: str) -> str:
    try:
        address = IPv6Address(host)
    except ValueError:
        raise ValueError("the host is not an IPv6 address") from None
    if address.scope_id is not None:
        raise ValueError("an IPv6 address with a zone is local")
    return str(address)


def _ipv4(host: str) -> str:
    try:
        return str(IPv4Address(host))
    except ValueError:
        raise ValueError(
            "the host ends in a number but is not an IPv4 address of four decimal numbers"
        ) from None


def _check_label(label: str) -> None:
    if not _LABEL.fullmatch(label):
        raise ValueError(
            "a part of the host name is empty, longer than 63 or has other characters than a-z 0-9 -"
        )
    if label[2:4] == "--":
        _check_encoded(label)


def _check_encoded(label: str) -> None:
    """An internationalised label that decodes, encodes to the same again, and does not imitate Latin letters."""
    try:
        text = idna.decode(label)
        same = idna.encode(text).decode() == label
    except (idna.IDNAError, UnicodeError):
        same = False
    if not same:
        raise ValueError("a part of the host name is not valid IDNA")
    if _deceives(text):
        raise ValueError("a part of the host name imitates Latin letters")


def _deceives(text: str) -> bool:
    letters = [letter for letter in text if letter.isalpha()]
    alphabets = {unicodedata.name(letter, "?").split()[0] for letter in letters}
    mixed = len(alphabets & {"LATIN", "CYRILLIC", "GREEK", "ARMENIAN", "CHEROKEE"}) > 1
    return mixed or (bool(letters) and _LOOK_LATIN.issuperset(letters))
