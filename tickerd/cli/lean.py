"""Keeps what a daemon never uses out of its memory."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def without(*names: str) -> Iterator[None]:
    """While inside, importing these modules fails as if they were not installed.

    structlog imports rich and Twisted when it finds them: 6 MB and 60 ms in every daemon, for nothing. What was
    imported before, or is imported after, is not touched.
    """
    hidden = [name for name in names if name not in sys.modules]
    for name in hidden:
        sys.modules[name] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        for name in hidden:
            del sys.modules[name]
