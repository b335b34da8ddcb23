"""Sentences that several routes, and the command line, say in the same words."""

from collections.abc import Iterable
from difflib import get_close_matches

_LONGEST = 64


def quoted(text: str) -> str:
    """What somebody sent, fit to be shown."""
    return repr(text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…")


def unknown(kind: str, name: str, known: Iterable[str]) -> str:
    """Something of this kind does not exist, and what may have been meant."""
    names = list(known)
    close = get_close_matches(name[:_LONGEST], names, n=1)
    if close:
        return f"no {kind} {quoted(name)} (did you mean {close[0]!r}?)"
    return f"no {kind} {quoted(name)}; there is {', '.join(sorted(names)) or 'none'}"
