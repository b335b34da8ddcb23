"""Which request headers may be set, and how. Pure."""

import re
from collections.abc import Sequence

Headers = Sequence[tuple[str, str]]

_OURS = frozenset(
    {"host", "content-length", "transfer-encoding", "connection", "accept-encoding", "keep-alive", "upgrade"}
    | {"te", "trailer", "expect", "proxy-authorization", "proxy-connection"}
)
"""What says where the message ends and how the connection goes on belongs to the client."""

_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE = re.compile(r"(?:[!-~](?:[ -~]*[!-~])?)?")


def trouble(name: str, value: str) -> str | None:
    """Why this header cannot be sent, without its value; or None."""
    if not _NAME.fullmatch(name):
        return f"{name!r} is not the name of a header"
    if name.lower() in _OURS:
        return f"the header {name!r} is set by tickerd"
    if not _VALUE.fullmatch(value):
        return f"the value of header {name!r} has control characters, characters outside ASCII, or spaces around it"
    return None
