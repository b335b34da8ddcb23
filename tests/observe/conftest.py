"""Logging into memory."""

import io
import sys
from collections.abc import Callable, Iterator
from typing import Any

import orjson
import pytest

from tickerd.observe.logging import LoggingHandle, configure


class Logged:
    """Configures logging once into memory, and reads what was logged."""

    def __init__(self) -> None:
        self.stream = io.BytesIO()
        self.handle: LoggingHandle | None = None

    def configure(self, **options: Any) -> LoggingHandle:
        assert self.handle is None
        self.handle = configure(**{"stream": self.stream, "environ": {}, **options})
        return self.handle

    def text(self) -> str:
        assert self.handle is not None
        assert self.handle.flush()
        return self.stream.getvalue().decode()

    def lines(self) -> list[dict[str, Any]]:
        return [orjson.loads(line) for line in self.text().splitlines()]

    def last(self) -> dict[str, Any]:
        return self.lines()[-1]


@pytest.fixture
def logged() -> Iterator[Logged]:
    hook = sys.excepthook
    logged = Logged()
    yield logged
    if logged.handle is not None:
        logged.handle.close()
    sys.excepthook = hook


@pytest.fixture
def ticking() -> Callable[[], "Ticking"]:
    return Ticking


class Ticking:
    """A clock in seconds that is moved by hand."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now
