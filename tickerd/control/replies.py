"""Answers to changes that carried an ``Idempotency-Key``: who asks the same again is told the same, not served again.

After draft-ietf-httpapi-idempotency-key-header. In memory only, since some answers show a secret: after a restart
nothing is known of them.
"""

import hashlib
import re
from collections import OrderedDict
from dataclasses import dataclass

from tickerd.control.problem import Problem
from tickerd.control.route import Reply

HEADER = "idempotency-key"
REPLAYED = "Idempotency-Replayed"
LIFE_S = 86_400.0
MOST = 1000
"""Answers that are kept; the oldest give way."""
MOST_BYTES = 2**24
LONGEST = 255

_KEY = re.compile(rf"[\x21-\x7e]{{1,{LONGEST}}}")


@dataclass
class _Kept:
    digest: bytes
    until: float
    reply: Reply | None = None
    """None while it is being worked on."""

    @property
    def size(self) -> int:
        return 0 if self.reply is None else len(self.reply.body)


class Replies:
    """By caller and key, the oldest first."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[str, str], _Kept] = OrderedDict()
        self._bytes = 0

    def __len__(self) -> int:
        """Answers kept or awaited."""
        return len(self._kept)

    def begin(self, caller: str, key: str, request: bytes, now: float) -> Reply | None:
        """The answer of an earlier, equal request; None: there was none, and this one is now under way.

        Args:
            caller: who asks; nobody is told what others were.
            key: `parse_key` has seen it.
            request: all that makes it the same request.
            now: trio's clock.

        Raises:
            Problem: the key was used for something else, or the first request with it is still under way.
        """
        self._forget(now)
        found, digest = self._kept.get((caller, key)), hashlib.sha256(request).digest()
        if found is None:
            self._kept[caller, key] = _Kept(digest, now + LIFE_S)
            return None
        if found.digest != digest:
            raise Problem(
                422,
                "this Idempotency-Key was sent with another request; take a new one for each change",
                code="idempotency-key-reused",
            )
        if found.reply is None:
            raise Problem(
                409,
                "the first request with this Idempotency-Key is still under way; try again",
                code="under-way",
                headers={"Retry-After": "1"},
            )
        return found.reply

    def keep(self, caller: str, key: str, reply: Reply) -> None:
        """The answer of the request that was begun; its body is bytes."""
        kept = self._kept.get((caller, key))
        if kept is not None:
            kept.reply = reply
            self._bytes += kept.size
            self._make_room()

    def drop(self, caller: str, key: str) -> None:
        """The request that was begun has changed nothing: it may be sent again."""
        self._remove((caller, key))

    def _forget(self, now: float) -> None:
        while self._kept and next(iter(self._kept.values())).until <= now:
            self._remove(next(iter(self._kept)))

    def _make_room(self) -> None:
        while len(self._kept) > MOST or self._bytes > MOST_BYTES:
            self._remove(next(iter(self._kept)))

    def _remove(self, key: tuple[str, str]) -> None:
        kept = self._kept.pop(key, None)
        self._bytes -= kept.size if kept is not None else 0


def parse_key(text: str | None) -> str | None:
    """The key in a header, with or without the quotes of a structured field; None where there is none.

    Raises:
        Problem: it cannot be one.
    """
    if text is None:
        return None
    key = text[1:-1] if len(text) > 1 and text[0] == text[-1] == '"' else text
    if _KEY.fullmatch(key) is None:
        raise Problem(
            400, f"Idempotency-Key: expected up to {LONGEST} ASCII characters that print", code="invalid"
        )
    return key
