"""Options of the Kite-compatible endpoint, and where it must not be."""

import re
from collections.abc import Iterable
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, WithJsonSchema
from pydantic_core import PydanticCustomError

from tickerd.plugin import ListenSettings, Options, option
from tickerd.plugin.listening import is_loopback

MAX_INSTRUMENTS = 3_000
"""What the broker allows on one connection."""
_PATH = r"/(?:[A-Za-z0-9._~-]+(?:/[A-Za-z0-9._~-]+)*/?)?"


def _path(value: Any) -> str:
    if isinstance(value, str) and re.fullmatch(_PATH, value):
        return value
    raise PydanticCustomError("path", "expected a path such as '/kite', of letters, digits and '._~-'")


def _bare(path: str) -> str:
    return path.rstrip("/") or "/"


class KiteOptions(Options):
    """``kite_compatible``: for programs on the broker's own clients."""

    path: Annotated[
        str,
        AfterValidator(_bare),
        BeforeValidator(_path),
        WithJsonSchema({"type": "string", "pattern": f"^{_PATH}$", "examples": ["/kite"]}),
    ] = option("/kite", doc="Its path, with or without a slash at the end; `/` answers too.")
    max_instruments: int = option(
        MAX_INSTRUMENTS,
        doc="Most instruments on one connection; asking for more is answered with an `error` message.",
        ge=1,
        le=9_000,
    )
    orders: bool = option(
        True,
        doc="Pass on order updates and the broker's notices, to keys that are not narrowed to some instruments.",
    )


def refusal(listen: Iterable[ListenSettings]) -> str | None:
    """Why the endpoint must not be where these listeners are; None if it may.

    The clients can send their key in no other place than the address of the request, which may be logged by whatever
    stands between. The text names no listener: an address may come out of a reference.
    """
    for entry in listen:
        if entry.tls is None and not entry.is_unix and not is_loopback(entry.address):
            return (
                "kite_compatible reads a credential from the address of a request, so a listener that others can "
                "reach needs tls; allow_plaintext does not help: add tls, or remove kite_compatible"
            )
    return None
