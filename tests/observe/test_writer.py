"""Writing lines from a thread. Real pipes and threads: that is what it is about."""

import io
import os
import threading
from collections.abc import Iterator

import pytest

from tickerd.observe.writer import FdOutput, LineWriter, StreamOutput, output_of


def told(count: int) -> bytes:
    return b"dropped %d\n" % count


class Failing:
    """An output that fails while it is told to."""

    def __init__(self) -> None:
        self.error: Exception | None = None
        self.taken: list[bytes] = []
        self.closed = threading.Event()

    def write(self, data: bytes) -> None:
        if self.error is not None:
            raise self.error
        self.taken.append(data)

    def close(self) -> None:
        self.closed.set()


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    reader, writer = os.pipe()
    yield reader, writer
    os.close(reader)
    os.close(writer)


def read_until(fd: int, end: bytes) -> bytes:
    data = b""
    while not data.endswith(end):
        data += os.read(fd, 65536)
    return data


def test_lines_arrive_whole_and_in_order() -> None:
    stream = io.BytesIO()
    writer = LineWriter("w", StreamOutput(stream), tell=told)
    lines = [b"%d %s\n" % (n, b"x" * 1000) for n in range(2000)]
    for line in lines:
        writer.put(line)
    assert writer.flush(5.0)
    assert writer.close(5.0)
    assert stream.getvalue() == b"".join(lines)
    assert (writer.written, writer.dropped) == (2000, 0)


def test_a_stuck_pipe_costs_lines_and_no_time_and_is_told_afterwards(pipe: tuple[int, int]) -> None:
    reader, fd = pipe
    writer = LineWriter("w", FdOutput(fd), tell=told, most_bytes=100_000)
    line = b"x" * 999 + b"\n"
    for _ in range(1000):
        writer.put(line)
    assert not writer.flush(0.05)
    assert writer.dropped > 500
    arrived, counted, data = 0, 0, b""
    while arrived + counted < 1000:
        *lines, data = (data + os.read(reader, 65536)).split(b"\n")
        arrived += lines.count(line[:-1])
        counted += sum(int(line.split()[1]) for line in lines if line.startswith(b"dropped"))
    assert (arrived, counted) == (1000 - writer.dropped, writer.dropped)
    assert writer.flush(5.0)
    writer.put(b"on\n")
    assert read_until(reader, b"on\n") == b"on\n"
    assert writer.close(5.0)


def test_a_pipe_that_stays_stuck_is_left_behind_at_the_end(pipe: tuple[int, int]) -> None:
    _, fd = pipe
    writer = LineWriter("w", FdOutput(fd), tell=told)
    writer.put(b"x" * 200_000)
    assert not writer.close(0.05)
    writer.put(b"late\n")
    assert writer.dropped == 1


def test_a_pipe_that_does_not_block_is_waited_for(pipe: tuple[int, int]) -> None:
    reader, fd = pipe
    os.set_blocking(fd, False)
    writer = LineWriter("w", FdOutput(fd), tell=told)
    writer.put(b"x" * 200_000 + b"\n")
    assert len(read_until(reader, b"\n")) == 200_001
    assert writer.close(5.0)


def test_its_owner_may_close_the_descriptor(pipe: tuple[int, int]) -> None:
    reader, fd = pipe
    with os.fdopen(os.dup(fd), "wb") as owner:
        writer = LineWriter("w", output_of(owner), tell=told)
    writer.put(b"still there\n")
    assert writer.close(5.0)
    assert read_until(reader, b"\n") == b"still there\n"


@pytest.mark.parametrize("error", [OSError(28, "disk full"), ValueError("closed file")])
def test_a_failing_output_is_reported_once_and_lines_are_counted(error: Exception) -> None:
    output, failures = Failing(), []
    output.error = error
    writer = LineWriter("w", output, tell=told, failed=failures.append)
    for _ in range(3):
        writer.put(b"lost\n")
        assert writer.flush(5.0)
    assert failures == [error]
    assert (writer.written, writer.dropped) == (0, 3)
    output.error = None
    writer.put(b"back\n")
    assert writer.close(5.0)
    assert b"".join(output.taken) == b"dropped 3\nback\n"
    assert output.closed.is_set()


def test_drops_are_told_without_another_line() -> None:
    output, ticks = Failing(), threading.Semaphore(0)
    output.error = OSError()
    writer = LineWriter("w", output, tell=told, tick=ticks.release)
    writer.put(b"lost\n")
    assert writer.flush(5.0)
    output.error = None
    assert all(ticks.acquire(timeout=5.0) for _ in range(3))
    assert output.taken == [told(1)]
    assert writer.close(5.0)


def test_its_own_thread_may_log_but_not_wait() -> None:
    answers: list[bool] = []
    stream = io.BytesIO()
    asked = threading.Event()

    def tick() -> None:
        if not answers:
            writer.put(b"from the thread\n")
            answers.append(writer.flush(5.0))
            asked.set()

    writer = LineWriter("w", StreamOutput(stream), tell=told, tick=tick)
    writer.put(b"go\n")
    assert asked.wait(5.0)
    assert writer.close(5.0)
    assert answers == [False]
    assert stream.getvalue() == b"go\nfrom the thread\n"


def test_streams_with_and_without_a_descriptor(pipe: tuple[int, int]) -> None:
    text = io.StringIO()
    output = output_of(text)
    output.write("é\n".encode())
    output.close()
    assert text.getvalue() == "é\n"
    wrapped = io.TextIOWrapper(io.BytesIO())
    output_of(wrapped).write(b"x")
    assert wrapped.buffer.getvalue() == b"x"  # type: ignore[attr-defined]
    with os.fdopen(os.dup(pipe[1]), "wb") as stream:
        real = output_of(stream)
    assert isinstance(real, FdOutput)
    real.write(b"y")
    real.close()
    assert os.read(pipe[0], 10) == b"y"
