"""Verifies a webhook of tickerd; needs Python 3.9 or newer and nothing else.

In a receiver: call `verify` with the request's headers and its body as it came, before anything has parsed it.
By hand: WEBHOOK_SECRET=whsec_… python verify.py ID TIMESTAMP SIGNATURE < body
"""

import base64
import hashlib
import hmac
import os
import sys
import time

WINDOW_S = 5 * 60


def verify(secret, headers, body, now=None):
    """Return the message's id, or raise ValueError. Header names are in lower case, the body is bytes."""
    identity = headers.get("webhook-id", "")
    timestamp = headers.get("webhook-timestamp", "")
    if not identity or not (timestamp.isascii() and timestamp.isdigit() and len(timestamp) <= 12):
        raise ValueError("no id or no timestamp")
    if abs((time.time() if now is None else now) - int(timestamp)) > WINDOW_S:
        raise ValueError("too old, or this machine's clock is wrong")
    key = base64.b64decode(secret.removeprefix("whsec_"))
    signed = identity.encode() + b"." + timestamp.encode() + b"." + body
    expected = b"v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest())
    # several while a secret is replaced: one that fits is enough
    given = headers.get("webhook-signature", "").encode().split(b" ")
    if not sum(hmac.compare_digest(one, expected) for one in given):
        raise ValueError("no signature fits")
    return identity


if __name__ == "__main__":
    names = ("webhook-id", "webhook-timestamp", "webhook-signature")
    try:
        verify(os.environ["WEBHOOK_SECRET"], dict(zip(names, sys.argv[1:])), sys.stdin.buffer.read())
    except ValueError as error:
        sys.exit(f"refused: {error}")
    print("genuine")
