"""Foreign clients, which run in processes of their own."""

import json
import subprocess
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import pytest
import trio


class Child:
    """A foreign client in a process of its own, which prints one JSON object a line."""

    def __init__(self, process: trio.Process) -> None:
        self._process = process
        self._buffer = b""

    async def next(self, event: str, seconds: float = 20) -> dict[str, Any]:
        """The next object whose ``event`` is that; others are passed over."""
        with trio.fail_after(seconds):
            while True:
                said: dict[str, Any] = json.loads(await self._line())
                if said["event"] == event:
                    return said

    async def _line(self) -> bytes:
        assert self._process.stdout is not None
        while b"\n" not in self._buffer:
            chunk = await self._process.stdout.receive_some()
            assert chunk, "the client has ended"
            self._buffer += chunk
        line, _, self._buffer = self._buffer.partition(b"\n")
        return line


@pytest.fixture
def start_child() -> Callable[..., AbstractAsyncContextManager[Child]]:
    """``async with start_child(program, argument…) as child``; it is killed at the end."""

    @asynccontextmanager
    async def start_child(*command: str, **options: Any) -> AsyncIterator[Child]:
        process = await trio.lowlevel.open_process(list(command), stdout=subprocess.PIPE, **options)
        assert process.stdout is not None
        try:
            yield Child(process)
        finally:
            process.kill()
            with trio.CancelScope(shield=True):
                await process.wait()
                await process.stdout.aclose()

    return start_child
