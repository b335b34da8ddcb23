"""Keeps secrets out of everything that is logged: known values, and what looks like a credential."""

import re
import threading
from urllib.parse import quote, quote_plus

HIDDEN = "***"
SHORTEST = 4
"""Values with fewer characters are not hidden: they would take half of every line with them."""

SECRET_NAMES = frozenset(
    {
        "access_token",
        "api_key",
        "api_secret",
        "authorization",
        "checksum",
        "cookie",
        "enctoken",
        "password",
        "proxy-authorization",
        "public_token",
        "refresh_token",
        "request_token",
        "secret",
        "set-cookie",
        "totp",
        "x-kite-apisecret",
    }
)
"""Names of log fields, query parameters, and keys in dicts and JSON whose value is never shown."""

_HEADERS = ("authorization", "proxy-authorization", "cookie", "set-cookie")
_NAMES = "|".join(
    sorted((re.escape(name) for name in SECRET_NAMES if name not in _HEADERS), key=len, reverse=True)
)
_LOOKS_SECRET = re.compile(
    # a header, also as a dict item or a pair of bytes: everything up to the quote or the end of the line
    rf"""(?P<header>\b(?:{"|".join(_HEADERS)})\\?['"]?\s*[:=,]\s*b?\\?['"]?)(?!\s*{re.escape(HIDDEN)})[^\r\n'"\\]+"""
    # a query parameter, a keyword argument, a dict item, a JSON member
    rf"""|(?P<name>\b(?:{_NAMES})\\?['"]?\s*[:=]\s*b?\\?['"]?)[^&\s'"\\,;<>(){{}}\[\]]+"""
    # an API key of ours, wherever it stands
    r"""|(?P<key>\btkd_)[A-Za-z0-9_.~-]+""",
    re.IGNORECASE,
)


class Redactor:
    """Replaces secrets in text by ``***``. Safe to use from any thread.

    Example:
        >>> redactor = Redactor()
        >>> redactor.add("correct horse")
        >>> redactor("password is correct horse, ws://x/?api_key=abc&access_token=def")
        'password is ***, ws://x/?api_key=***&access_token=***'
    """

    def __init__(self) -> None:
        self._forms: set[str] = set()
        self._known: re.Pattern[str] | None = None
        self._adding = threading.Lock()
        self.longest = 0
        """Characters of the longest form of any secret."""

    def add(self, secret: str) -> None:
        """Hide this value from now on, also where it stands quoted in a URL or escaped in a ``repr``."""
        if len(secret) < SHORTEST:
            return
        with self._adding:
            if secret in self._forms:
                return
            self._forms |= _forms(secret)
            longest_first = sorted(self._forms, key=len, reverse=True)
            self.longest = len(longest_first[0])
            self._known = re.compile("|".join(map(re.escape, longest_first)))

    def __call__(self, text: str) -> str:
        """The text without its secrets."""
        if self._known is not None:
            text = self._known.sub(HIDDEN, text)
        return _LOOKS_SECRET.sub(_hide, text)


def _hide(match: re.Match[str]) -> str:
    return f"{match['header'] or match['name'] or match['key']}{HIDDEN}"


def _forms(secret: str) -> set[str]:
    """A secret as it may turn up: as it is, its longer lines, in a URL, inside ``repr`` or JSON."""
    lines = [line for line in secret.splitlines() if len(line.strip()) >= 2 * SHORTEST]
    plain = {secret, secret.strip(), *lines}
    data = [text.encode("utf-8", "surrogatepass") for text in plain]
    quoted = {form for each in data for form in (quote(each, safe=""), quote_plus(each))}
    escaped = {
        form for text in plain for form in (repr(text)[1:-1], ascii(text)[1:-1], text.replace('"', '\\"'))
    }
    return {form for form in plain | quoted | escaped if len(form) >= SHORTEST}
