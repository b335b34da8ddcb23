"""What went wrong, as application/problem+json (RFC 9457): the one form of every error answer."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

import msgspec

CONTENT_TYPE = "application/problem+json"

TITLES = {
    400: "the request is malformed",
    401: "not authenticated",
    403: "not allowed",
    404: "not found",
    405: "method not allowed",
    408: "the request took too long to arrive",
    409: "conflict",
    413: "the request is too large",
    414: "the address is too long",
    415: "wrong content type",
    421: "wrong host",
    422: "invalid value",
    429: "too many requests",
    431: "headers too large",
    500: "internal error",
    503: "not available now",
}
"""By status, in the words that the command line uses too; others are the standard phrase in lower case."""


@dataclass(eq=False)
class Problem(Exception):
    """Raised by routes and middleware, answered as it stands.

    Args:
        status: of HTTP.
        detail: what, where, what to do; lower case, no full stop. No secrets, nothing of other people's.
        code: a word for programs; the last part of ``type``. Made from the status when it is left out.
        errors: places and texts of several mistakes at once.
        headers: to be sent with it.
    """

    status: int
    detail: str | None = None
    code: str | None = None
    errors: list[dict[str, str]] = field(default_factory=list)
    headers: Mapping[str, str] = field(default_factory=dict)
    extra: Mapping[str, Any] = field(default_factory=dict)

    @property
    def title(self) -> str:
        """What kind of problem it is."""
        return TITLES.get(self.status) or _phrase(self.status)

    def json(self, request_id: str | None = None) -> bytes:
        """The body of the answer."""
        code = self.code or _phrase(self.status).replace(" ", "-")
        body: dict[str, Any] = {
            "type": f"urn:tickerd:problem:{code}",
            "title": self.title,
            "status": self.status,
        }
        if self.detail:
            body["detail"] = self.detail
        if self.errors:
            body["errors"] = self.errors
        if request_id:
            body["request_id"] = request_id
        return msgspec.json.encode(body | dict(self.extra))

    def __str__(self) -> str:
        """One line, as the command line shows it."""
        return f"{self.title}: {self.detail}" if self.detail else self.title


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase.lower()
    except ValueError:
        return "error"
