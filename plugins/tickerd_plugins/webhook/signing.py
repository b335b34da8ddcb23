"""Signs deliveries: the secrets of one endpoint, the newest first, old ones until their overlap ends."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field

from tickerd.wire import standard_webhooks


@dataclass(frozen=True)
class Key:
    """One key of an endpoint. It does not print."""

    key: bytes = field(repr=False)
    until_ns: int | None = None
    """Nanoseconds since 1970 UTC from which on it signs no more; None: it stays."""


class Signer:
    """Signs for one endpoint.

    Args:
        keys: the newest first; while several are live a delivery carries a signature of each, so that a receiver
            that holds any of them accepts it.
    """

    def __init__(self, keys: Sequence[Key]) -> None:
        self._keys = tuple(keys)

    def live(self, now_ns: int) -> list[bytes]:
        """The keys that sign now."""
        return [one.key for one in self._keys if one.until_ns is None or now_ns < one.until_ns]

    def headers(self, message_id: str, body: bytes, now_ns: int) -> dict[str, str]:
        """``webhook-id``, ``webhook-timestamp`` and ``webhook-signature`` for exactly these bytes."""
        return standard_webhooks.headers(self.live(now_ns), message_id, now_ns // 10**9, body)


def new_secret() -> str:
    """A new secret, ``whsec_…``, of 32 random bytes."""
    return standard_webhooks.secret_of(secrets.token_bytes(standard_webhooks.KEY_BYTES))
