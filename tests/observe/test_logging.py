"""The configured whole: from a log call to a line."""

import io
import os
import pty
import subprocess
import sys
import threading
from pathlib import Path

import orjson
import pytest
import structlog
import trio

from tickerd.observe.logging import configure, is_journal
from tickerd.observe.repeats import Repeats
from tickerd.observe.unit import CURRENT_UNIT


def test_a_line_has_its_fields_in_the_order_in_which_they_are_read(logged) -> None:
    logged.configure()
    structlog.get_logger().bind(unit="kite").warning("connection lost", after=3, timestamp="forged")
    line = logged.last()
    assert list(line) == ["timestamp", "level", "event", "unit", "after"]
    assert line["timestamp"].endswith("Z")
    assert [line[name] for name in ("level", "event", "unit", "after")] == [
        "warning",
        "connection lost",
        "kite",
        3,
    ]


async def test_every_line_of_a_units_tasks_and_threads_carries_its_name(logged) -> None:
    logged.configure()
    log = structlog.get_logger().bind()

    async def unit(name: str) -> None:
        CURRENT_UNIT.set(name)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(child)

    async def child() -> None:
        log.info("from a child")
        await trio.to_thread.run_sync(log.info, "from a thread")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(unit, "kite")
        nursery.start_soon(unit, "file")
    log.info("from the core")
    assert sorted((line.get("unit", ""), line["event"]) for line in logged.lines()) == [
        ("", "from the core"),
        ("file", "from a child"),
        ("file", "from a thread"),
        ("kite", "from a child"),
        ("kite", "from a thread"),
    ]


def test_secrets_never_show_wherever_they_stand(logged) -> None:
    handle = logged.configure(secrets=["hunter2"])
    handle.redactor.add("t0psecret")
    log = structlog.get_logger().bind(unit="hunter2")
    try:
        raise ExceptionGroup("hunter2", [ValueError("t0psecret"), OSError(2, "no", "/x/hunter2")])
    except* (ValueError, OSError):
        log.exception("failed t0psecret", hunter2={"t0psecret": ["hunter2", b"hunter2"]}, stack_info=True)
    assert "***" in logged.text()
    assert "hunter2" not in logged.text()
    assert "t0psecret" not in logged.text()


@pytest.mark.parametrize("look", ["json", "console"])
def test_text_from_outside_cannot_forge_a_line(logged, look: str) -> None:
    logged.configure(format=look)
    structlog.get_logger().info("symbol\n09:15 [info] forged", symbol='X\r\n{"level":"error"}\x1b[2J')
    assert len(logged.text().splitlines()) == 1
    assert "\x1b" not in logged.text()


def test_the_level_is_switched_for_all_loggers_there_are(logged) -> None:
    handle = logged.configure(level="warning")
    unbound, bound = structlog.get_logger(), structlog.get_logger().bind()
    unbound.info("no")
    bound.info("no")
    handle.set_level("debug")
    unbound.debug("yes")
    bound.debug("yes")
    assert [line["event"] for line in logged.lines()] == ["yes", "yes"]
    assert handle.level == "debug"


def test_repeats_end_in_one_line_with_their_number(logged) -> None:
    handle = logged.configure()
    log = structlog.get_logger().bind(unit="kite")
    for n in range(50):
        log.error("again", n=n)
    log.error("another")
    handle.close()
    lines = [orjson.loads(line) for line in logged.stream.getvalue().splitlines()]
    assert [line["event"] for line in lines] == ["again"] * 20 + ["another", "repeats suppressed"]
    assert {k: lines[-1][k] for k in ("level", "unit", "like", "count", "window_s")} == {
        "level": "error",
        "unit": "kite",
        "like": "again",
        "count": 30,
        "window_s": 10.0,
    }


def test_the_number_is_told_when_the_window_has_ended_without_another_line(logged, ticking) -> None:
    clock, told = ticking(), threading.Event()

    class Told(io.BytesIO):
        def write(self, data) -> int:  # type: ignore[no-untyped-def]
            if b"repeats suppressed" in data:
                told.set()
            return super().write(data)

    logged.configure(stream=Told(), repeats=Repeats(1, 10.0, now=clock))
    structlog.get_logger().error("again")
    structlog.get_logger().error("again")
    clock.now += 10
    assert told.wait(5.0)


def test_a_log_call_never_fails(logged, monkeypatch: pytest.MonkeyPatch) -> None:
    logged.configure()
    log = structlog.get_logger()
    log.info("odd", **{"": 1, "level": "forged", "_name": 2, "a b": 3})
    log.info(None)
    log.info(b"bytes", unit=7)
    monkeypatch.setattr("tickerd.observe.logging.add_exception", fails_on_value)
    log.info("bad", value=object())
    lines = logged.lines()
    assert [line["event"] for line in lines[:3]] == ["odd", None, "b'bytes'"]
    assert lines[0]["level"] == "info"
    assert lines[2]["unit"] == 7
    assert (lines[3]["level"], lines[3]["event"], lines[3]["error"]) == (
        "error",
        "log line lost",
        "LookupError",
    )


def fails_on_value(_logger: object, _method: str, event: dict[str, object]) -> dict[str, object]:
    if "value" in event:
        raise LookupError
    return event


def test_the_file_gets_json_whatever_the_stream_shows(logged, tmp_path: Path) -> None:
    path = tmp_path / "x" / "tickerd.log"
    handle = logged.configure(format="console", file=path)
    structlog.get_logger().info("hello", n=1)
    assert handle.flush()
    assert orjson.loads(path.read_bytes())["event"] == "hello"
    assert "hello" in logged.text()
    assert "{" not in logged.text()
    assert (handle.written, handle.dropped) == (2, 0)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="Linux has it")
def test_a_full_disk_is_told_on_the_stream_and_counted(logged, tmp_path: Path, monkeypatch) -> None:
    handle = logged.configure(file=tmp_path / "tickerd.log")
    full = os.open("/dev/full", os.O_WRONLY)
    monkeypatch.setattr("tickerd.observe.logfile.LogFile._current", lambda _: full)
    structlog.get_logger().info("hello")
    handle.flush()
    handle.flush()
    failure = logged.last()
    assert failure["event"] == "log lines cannot be written"
    assert failure["output"].endswith("tickerd.log")
    assert "No space left" in failure["error"]
    handle.close()
    os.close(full)
    assert handle.dropped >= 1


def test_dropped_lines_are_told_as_a_line(logged) -> None:
    handle = logged.configure()
    writer = handle._pipeline.writers()[0]
    with writer._changed:
        writer._drop(3)
    structlog.get_logger().info("next")
    handle.flush()
    handle.close()
    told = orjson.loads(logged.stream.getvalue().splitlines()[-1])
    assert (told["event"], told["level"], told["count"]) == ("log lines dropped", "warning", 3)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"level": "loud"}, "unknown log level 'loud'"),
        ({"format": "xml"}, "unknown log format 'xml', choose one of auto, console, json"),
        ({"file": Path("/x"), "compress": "rar"}, "unknown compression 'rar'"),
    ],
)
def test_a_wrong_option_changes_nothing(options, text: str) -> None:
    hook = sys.excepthook
    with pytest.raises(ValueError, match=text):
        configure(**options)
    assert sys.excepthook is hook
    assert not structlog.is_configured()


def test_a_file_that_cannot_be_opened_is_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="Is a directory"):
        configure(file=tmp_path)
    assert not structlog.is_configured()


def test_after_the_end_others_may_configure(logged) -> None:
    with logged.configure() as handle:
        assert structlog.is_configured()
    assert not structlog.is_configured()
    structlog.get_logger()
    assert handle.close()


def read_pty(environ: dict[str, str], **options: object) -> str:
    """What a terminal shows of one line."""
    ours, theirs = pty.openpty()
    hook = sys.excepthook
    with os.fdopen(theirs, "wb", buffering=0) as stream:
        handle = configure(stream=stream, environ=environ, **options)  # type: ignore[arg-type]
        structlog.get_logger().info("hello", n=1)
        handle.close()
        text = os.read(ours, 65536).decode()
    os.close(ours)
    sys.excepthook = hook
    return text


def test_a_terminal_gets_columns_in_colour_unless_it_asks_not_to() -> None:
    assert "\x1b[" in read_pty({"TERM": "xterm"})
    for environ in ({"NO_COLOR": "1"}, {"TERM": "dumb"}):
        plain = read_pty(environ)
        assert "\x1b[" not in plain
        assert "hello" in plain
    assert read_pty({"TERM": "dumb"}, status_line=True).startswith("\r\x1b[K")
    assert read_pty({}, format="json").startswith("{")


def test_the_journal_gets_priorities_and_a_file_in_its_place_does_not(tmp_path: Path, logged) -> None:
    with (tmp_path / "out").open("w+b") as stream:
        status = os.fstat(stream.fileno())
        ours = f"{status.st_dev}:{status.st_ino}"
        assert is_journal(stream.fileno(), ours)
        assert not is_journal(stream.fileno(), "9:12345")
        assert not is_journal(stream.fileno(), "")
        logged.configure(stream=stream, environ={"JOURNAL_STREAM": ours})
        structlog.get_logger().error("bad")
        assert logged.handle.close()
        assert (tmp_path / "out").read_bytes().startswith(b'<3>{"timestamp"')


STUCK = """
import structlog, sys
from tickerd.observe.logging import configure
handle = configure()
log = structlog.get_logger().bind()
for n in range(2000):
    log.info("line %d" % n, text="x" * 8000)
print(handle.close(0.2), handle.dropped > 0, file=sys.stderr)
"""


@pytest.mark.full
def test_a_reader_that_does_not_read_never_stops_the_daemon() -> None:
    reader, writer = os.pipe()
    try:
        done = subprocess.run(
            [sys.executable, "-c", STUCK],
            stdout=writer,
            stderr=subprocess.PIPE,
            text=True,
            check=True,
            timeout=30,
        )
    finally:
        os.close(reader)
        os.close(writer)
    assert done.stderr == "False True\n"
