"""How senders elsewhere sign what they post: a table of pure verifiers."""

import hashlib
import hmac
from collections.abc import Callable, Mapping, Sequence
from typing import Literal, NamedTuple, get_args

from tickerd.plugin import Rejected
from tickerd.wire.standard_webhooks import WINDOW_S, Unverified, key_of, verify

Profile = Literal["standard-webhooks", "github", "stripe"]
PROFILES: tuple[Profile, ...] = get_args(Profile)

_MOST_SIGNATURES = 16
_LONGEST_HEADER = 4096


class Verified(NamedTuple):
    """A request that is genuine."""

    id: str
    """The sender's, made of what was signed: a copy of the request has the same."""
    kind: str | None
    """What the sender calls it, where that stands in a header; None: in the body's ``type``."""


Verifier = Callable[[Sequence[bytes], bytes, Mapping[str, str], float], Verified]
"""(keys, body, headers in lower case, seconds since 1970 UTC) → what it is; raises `Rejected`."""


def key(profile: Profile, secret: str) -> bytes:
    """What a secret is as a key.

    Raises:
        ValueError: it is none; the text does not hold it.
    """
    if profile == "standard-webhooks":
        return key_of(secret)
    if not secret:
        raise ValueError("the secret is empty")
    return secret.encode()


def _standard(keys: Sequence[bytes], body: bytes, headers: Mapping[str, str], now_s: float) -> Verified:
    try:
        return Verified(verify(keys, headers, body, now_s), None)
    except Unverified as error:
        raise Rejected(str(error)) from None


def _github(keys: Sequence[bytes], body: bytes, headers: Mapping[str, str], now_s: float) -> Verified:
    """It signs the body alone: no time and no id, so that a copy is known by its body."""
    del now_s
    given = headers.get("x-hub-signature-256", "")[:_LONGEST_HEADER].encode()
    fits = False
    for one in keys:
        expected = b"sha256=" + hmac.digest(one, body, hashlib.sha256).hex().encode()
        fits |= hmac.compare_digest(given, expected)
    if not fits:
        raise Rejected("no signature fits")
    return Verified(hashlib.sha256(body).hexdigest(), headers.get("x-github-event", "")[:100])


def _stripe(keys: Sequence[bytes], body: bytes, headers: Mapping[str, str], now_s: float) -> Verified:
    parts = [part.partition("=") for part in headers.get("stripe-signature", "")[:_LONGEST_HEADER].split(",")]
    times = [value for name, _, value in parts if name == "t"]
    given = [value.encode() for name, _, value in parts if name == "v1"][:_MOST_SIGNATURES]
    if len(times) != 1 or not (times[0].isascii() and times[0].isdigit() and len(times[0]) <= 12):
        raise Rejected("no usable timestamp")
    if abs(now_s - int(times[0])) > WINDOW_S:
        raise Rejected("the timestamp is too far from now")
    signed = b"%b.%b" % (times[0].encode(), body)
    fits = False
    for one in keys:
        expected = hmac.digest(one, signed, hashlib.sha256).hex().encode()
        for signature in given:
            fits |= hmac.compare_digest(signature, expected)
    if not fits:
        raise Rejected("no signature fits")
    return Verified(hashlib.sha256(signed).hexdigest(), None)


VERIFIERS: Mapping[Profile, Verifier] = {
    "standard-webhooks": _standard,
    "github": _github,
    "stripe": _stripe,
}
