"""Standard Webhooks 1.0: secrets, signatures and the three headers. Pure; both directions."""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping, Sequence

PREFIX = "whsec_"
"""What a secret begins with where people see it; base64 follows."""
ID, TIMESTAMP, SIGNATURE = "webhook-id", "webhook-timestamp", "webhook-signature"
WINDOW_S = 300
"""How far a timestamp may be from the receiver's clock, in seconds."""
SHORTEST_KEY, LONGEST_KEY = 24, 64
"""Bytes of a key, as the specification limits them."""
KEY_BYTES = 32
"""Of a key that we make."""

_MOST_SIGNATURES = 16
_LONGEST_ID = 256


class Unverified(ValueError):
    """A message that must not be trusted; its text says why, for our own log and never for the sender."""


def key_of(secret: str) -> bytes:
    """The key behind a secret as people see it.

    Raises:
        ValueError: it is none; the text does not hold it.
    """
    if not secret.startswith(PREFIX):
        raise ValueError(f"a webhook secret begins with {PREFIX!r}")
    try:
        key = base64.b64decode(secret.removeprefix(PREFIX), validate=True)
    except (binascii.Error, ValueError):
        raise ValueError(f"what follows {PREFIX!r} in a webhook secret must be base64") from None
    if not SHORTEST_KEY <= len(key) <= LONGEST_KEY:
        raise ValueError(f"a webhook secret holds {SHORTEST_KEY} to {LONGEST_KEY} bytes, not {len(key)}")
    return key


def secret_of(key: bytes) -> str:
    """A key as people see it."""
    return PREFIX + base64.b64encode(key).decode()


def signature(key: bytes, message_id: str, timestamp: int, body: bytes) -> str:
    """One signature, ``v1,…``, over the id, the time in seconds since 1970 UTC and the body as it is sent."""
    signed = b"%b.%d.%b" % (message_id.encode(), timestamp, body)
    return "v1," + base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()


def headers(keys: Sequence[bytes], message_id: str, timestamp: int, body: bytes) -> dict[str, str]:
    """The three headers, with a signature for each key in their order."""
    return {
        ID: message_id,
        TIMESTAMP: str(timestamp),
        SIGNATURE: " ".join(signature(key, message_id, timestamp, body) for key in keys),
    }


def verify(keys: Sequence[bytes], given: Mapping[str, str], body: bytes, now_s: float) -> str:
    """The id of a message that one of the keys has signed.

    Every key is tried against every signature, in the same time whichever fits.

    Args:
        keys: those that may sign; several during a rotation.
        given: the request's headers, names in lower case.
        body: as it came.
        now_s: seconds since 1970 UTC.

    Raises:
        Unverified: a header is missing or malformed, the time is too far away, or no signature fits.
    """
    message_id, timestamp = given.get(ID, ""), given.get(TIMESTAMP, "")
    if not message_id or len(message_id) > _LONGEST_ID:
        raise Unverified("no usable id")
    if not (timestamp.isascii() and timestamp.isdigit() and len(timestamp) <= 12):
        raise Unverified("no usable timestamp")
    if abs(now_s - int(timestamp)) > WINDOW_S:
        raise Unverified("the timestamp is too far from now")
    offered = [text.encode() for text in given.get(SIGNATURE, "").split(" ")[:_MOST_SIGNATURES]]
    fits = False
    for key in keys:
        expected = signature(key, message_id, int(timestamp), body).encode()
        for one in offered:
            fits |= hmac.compare_digest(one, expected)
    if not fits:
        raise Unverified("no signature fits")
    return message_id
