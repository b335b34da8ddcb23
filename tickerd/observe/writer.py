"""Writes lines in a thread of its own, so that a stuck terminal, pipe or disk never holds up who logs."""

import contextlib
import io
import os
import select
import threading
from collections.abc import Callable
from typing import BinaryIO, Protocol, TextIO

MOST_BYTES = 8 * 2**20
CHUNK = 256 * 1024
TICK_S = 1.0
_FAILURES = (OSError, ValueError)
"""Of an output; `ValueError` is a stream that its owner has closed."""


class Output(Protocol):
    """Where lines go. Used by one thread only."""

    def write(self, data: bytes) -> None:
        """Take all of it, however long it takes, or raise `OSError`."""
        ...

    def close(self) -> None:
        """Let go of what was opened."""
        ...


class FdOutput:
    """A file descriptor, duplicated, so that whoever owns it may close it. It may be a non-blocking one."""

    def __init__(self, fd: int) -> None:
        self.fd = os.dup(fd)

    def write(self, data: bytes) -> None:
        """See `Output`."""
        left = memoryview(data)
        while left:
            try:
                left = left[os.write(self.fd, left) :]
            except BlockingIOError:
                poll = select.poll()
                poll.register(self.fd, select.POLLOUT)
                poll.poll()

    def close(self) -> None:
        """See `Output`."""
        os.close(self.fd)


class StreamOutput:
    """A stream without a descriptor, such as ``io.BytesIO``; it is left open."""

    def __init__(self, stream: TextIO | BinaryIO) -> None:
        self._stream = stream

    def write(self, data: bytes) -> None:
        """See `Output`."""
        if isinstance(self._stream, io.TextIOBase):
            self._stream.write(data.decode())
        else:
            self._stream.write(data)  # type: ignore[arg-type]
        self._stream.flush()

    def close(self) -> None:
        """See `Output`."""


def output_of(stream: TextIO | BinaryIO) -> Output:
    """The descriptor below a stream, or the stream itself where it has none."""
    try:
        return FdOutput(stream.fileno())
    except (OSError, AttributeError):
        return StreamOutput(getattr(stream, "buffer", stream))


class LineWriter:
    """A bounded queue of lines and the thread that empties it into an `Output`.

    When the queue is full, the newest lines are dropped, counted, and told of in a line as soon as one goes
    through again. Starts its thread at once; `close` ends it. The output belongs to the writer.

    Args:
        name: of the thread.
        output: where the lines go.
        tell: makes the line that says how many were dropped.
        tick: called by the thread about once a second, or oftener while there is something to write.
        failed: told of the first error of the output after it had worked; not again before it works again.
        most_bytes: what may wait to be written.
    """

    def __init__(
        self,
        name: str,
        output: Output,
        *,
        tell: Callable[[int], bytes],
        tick: Callable[[], None] | None = None,
        failed: Callable[[Exception], None] | None = None,
        most_bytes: int = MOST_BYTES,
    ) -> None:
        self._output = output
        self._tell = tell
        self._tick = tick
        self._failed = failed
        self._failing = False
        self._most_bytes = most_bytes
        # A condition's lock is re-entrant: the garbage collector may log while this thread is in `put`.
        self._changed = threading.Condition()
        self._lines: list[bytes] = []
        self._bytes = 0
        self._writing = False
        self._closed = False
        self._untold = 0
        self.written = 0
        """Lines that went through."""
        self.dropped = 0
        """Lines that were lost: no room, an error of the output, or put after `close`."""
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def put(self, line: bytes) -> None:
        """Queue a line; never waits."""
        with self._changed:
            if self._closed or self._bytes + len(line) > self._most_bytes:
                self._drop(1)
                return
            self._lines.append(line)
            self._bytes += len(line)
            self._changed.notify_all()

    def flush(self, seconds: float) -> bool:
        """Wait until everything queued so far is written; False if that took longer."""
        if threading.current_thread() is self._thread:
            return False
        with self._changed:
            return self._changed.wait_for(lambda: not self._lines and not self._writing, seconds)

    def close(self, seconds: float) -> bool:
        """Write what is queued and end the thread; False if it is stuck and was left behind."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while not (self._closed and not self._lines):
            lines = self._take()
            if lines:
                self._write(lines)
            with self._changed:
                self._writing = False
                self._changed.notify_all()
            # after what was queued before there was no room
            with contextlib.suppress(*_FAILURES):
                self._tell_drops()
            if self._tick is not None and not self._closed:
                self._tick()
        with contextlib.suppress(OSError):
            self._output.close()

    def _take(self) -> list[bytes]:
        with self._changed:
            if not self._lines and not self._closed:
                self._changed.wait(TICK_S)
            lines, self._lines, self._bytes = self._lines, [], 0
            self._writing = bool(lines)
            return lines

    def _write(self, lines: list[bytes]) -> None:
        for some in _chunks(lines):
            try:
                if self._failing:
                    self._tell_drops()
                self._output.write(b"".join(some))
            except _FAILURES as error:
                with self._changed:
                    self._drop(len(some))
                self._report(error)
            else:
                self.written += len(some)
                self._failing = False

    def _report(self, error: Exception) -> None:
        first, self._failing = not self._failing, True
        if first and self._failed is not None:
            self._failed(error)

    def _tell_drops(self) -> None:
        with self._changed:
            dropped, self._untold = self._untold, 0
        if dropped:
            try:
                self._output.write(self._tell(dropped))
            except _FAILURES:
                self._untold += dropped
                raise

    def _drop(self, count: int) -> None:
        self.dropped += count
        self._untold += count


def _chunks(lines: list[bytes]) -> list[list[bytes]]:
    """Lines in groups of about `CHUNK` bytes."""
    groups: list[list[bytes]] = [[]]
    size = 0
    for line in lines:
        if size >= CHUNK:
            groups.append([])
            size = 0
        groups[-1].append(line)
        size += len(line)
    return groups
