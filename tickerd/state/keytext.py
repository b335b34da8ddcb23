"""The texts of API keys: made at random, and told from typos and from foreign texts without looking anything up.

``tkd_KIND_`` and 12 characters that name the key, ``_`` and 43 that are its secret (256 random bits), and 6 that are
the CRC-32 of all before them. Letters, digits and underscores only, so that a double click selects all of it.
"""

import re
import secrets
import string
import zlib
from dataclasses import dataclass, field
from typing import Literal, get_args

KeyKind = Literal["live", "test", "boot", "tick"]
"""``live``: a key; ``test``: one for trials; ``boot``: that of the first start; ``tick``: a ticket for one stream."""
KINDS: tuple[KeyKind, ...] = get_args(KeyKind)

ID_LENGTH = 12
SECRET_LENGTH = 43
CHECK_LENGTH = 6
PATTERN = (
    rf"tkd_(?:{'|'.join(KINDS)})_[0-9A-Za-z]{{{ID_LENGTH}}}_[0-9A-Za-z]{{{SECRET_LENGTH + CHECK_LENGTH}}}"
)
"""For programs that search for leaked keys."""

_DIGITS = string.digits + string.ascii_uppercase + string.ascii_lowercase
_KEY = re.compile(
    rf"(?P<body>tkd_(?P<kind>{'|'.join(KINDS)})_(?P<id>[0-9A-Za-z]{{{ID_LENGTH}}})"
    rf"_[0-9A-Za-z]{{{SECRET_LENGTH}}})(?P<check>[0-9A-Za-z]{{{CHECK_LENGTH}}})",
    re.ASCII,
)
_LONGEST = 128
_ID = re.compile(rf"(?:tkd_(?:{'|'.join(KINDS)})_)?([0-9A-Za-z]{{{ID_LENGTH}}})", re.ASCII)


@dataclass(frozen=True, slots=True)
class KeyText:
    """A key that is well formed; whether it was ever given out is another question. It does not print."""

    text: str = field(repr=False)
    kind: KeyKind
    id: str
    """The public part: may be shown and logged."""


def new_key(kind: KeyKind) -> KeyText:
    """A key that nobody has."""
    public = _random(ID_LENGTH)
    body = f"tkd_{kind}_{public}_{_random(SECRET_LENGTH)}"
    return KeyText(body + _check(body), kind, public)


def parse_key(text: str) -> KeyText | None:
    """The key, or None for a text that cannot be one: a typo, a part of a key, something else."""
    if len(text) > _LONGEST:
        return None
    match = _KEY.fullmatch(text)
    if match is None or _check(match["body"]) != match["check"]:
        return None
    (kind,) = (kind for kind in KINDS if kind == match["kind"])
    return KeyText(text, kind, match["id"])


def parse_id(text: str) -> str | None:
    """The public part, from itself or with the prefix before it (``tkd_live_…``); None for anything else."""
    match = _ID.fullmatch(text)
    return match and match[1]


def _random(length: int) -> str:
    return "".join(secrets.choice(_DIGITS) for _ in range(length))


def _check(body: str) -> str:
    rest, digits = zlib.crc32(body.encode("ascii")), ""
    for _ in range(CHECK_LENGTH):
        rest, digit = divmod(rest, len(_DIGITS))
        digits = _DIGITS[digit] + digits
    return digits
