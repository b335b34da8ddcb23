"""What a unit may offer to programs elsewhere that report to us: verified requests become control records."""

from collections.abc import Mapping, Sequence
from typing import Protocol, runtime_checkable

from tickerd.plugin.records import AnyRecord

MAX_BODY = 64 * 1024
"""Bytes of a request that is looked at; the host refuses longer ones unread."""


@runtime_checkable
class Inbound(Protocol):
    """An optional protocol of a running source: the hooks listener hands it what is posted to ``/hooks/UNIT/…``.

    The host caps the body at `MAX_BODY`, limits callers before anything is computed, and gives every refusal the
    same answer, whatever was wrong.
    """

    async def verify(self, body: bytes, headers: Mapping[str, str]) -> Sequence[AnyRecord]:
        """Check a request and say what it reports; the host publishes the records as this unit's.

        Empty for what is genuine and has been reported before. Compare digests with ``hmac.compare_digest``.

        Args:
            body: as it came, not decoded.
            headers: names in lower case.

        Raises:
            Rejected: it is not genuine; the text goes to the log and never to the sender.
            Retry: it may be genuine, and cannot be dealt with now; the sender is asked to come again.
        """
        ...
