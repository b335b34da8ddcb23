"""What others log."""

import logging
import subprocess
import sys
import threading
import warnings

import pytest

from tickerd.observe.standard import foreign_level


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [(logging.DEBUG, logging.INFO), (logging.INFO, logging.WARNING), (logging.ERROR, logging.ERROR)],
)
def test_others_are_heard_from_a_higher_level(ours: int, theirs: int) -> None:
    assert foreign_level(ours) == theirs


def test_the_standard_library_goes_the_same_way(logged) -> None:
    handle = logged.configure()
    log = logging.getLogger("hypercorn.error")
    log.info("not heard")
    log.warning("lost %s", "access_token=abc")
    handle.set_level("debug")
    log.debug("not heard")
    log.info("heard")
    log.log(logging.INFO + 3, "between")
    found = [(line["level"], line["event"], line["logger"]) for line in logged.lines()]
    assert found == [
        ("warning", "lost access_token=***", "hypercorn.error"),
        ("info", "heard", "hypercorn.error"),
        ("info", "between", "hypercorn.error"),
    ]


def test_their_exceptions_and_stacks_are_shown(logged) -> None:
    logged.configure()
    try:
        {}["k"]
    except KeyError:
        logging.getLogger("x").exception("bad", stack_info=True)
    line = logged.last()
    assert line["error"] == "KeyError: 'k'"
    assert "Traceback" in line["exception"]
    assert "test_standard.py" in line["stack"]


def test_a_call_with_wrong_arguments_is_still_logged(logged) -> None:
    logged.configure()
    logging.getLogger("x").error("%d ticks", "many")
    assert logged.last()["event"] == "%d ticks"
    assert logged.last()["args"] == ["many"]


def test_repeats_are_recognised_by_their_format(logged) -> None:
    logged.configure()
    for n in range(50):
        logging.getLogger("x").error("attempt %d", n)
    assert len(logged.lines()) == 20


def test_levels_below_ours_have_a_name(logged) -> None:
    handle = logged.configure(level="debug")
    logging.getLogger().setLevel(1)
    logging.getLogger("x").log(5, "trace")
    assert logged.last()["level"] == "debug"
    assert handle.level == "debug"


def test_warnings_are_captured(logged) -> None:
    logged.configure()
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(capture=True)
        warnings.warn("careful", UserWarning, stacklevel=1)
        logging.captureWarnings(capture=False)
    assert "UserWarning: careful" in logged.last()["event"]


def test_a_thread_that_crashes_is_logged_by_name(logged) -> None:
    logged.configure()

    def crash(error: BaseException) -> None:
        raise error

    for error in (ValueError("x"), SystemExit(1)):
        thread = threading.Thread(target=crash, args=(error,), name="worker")
        thread.start()
        thread.join()
    lines = logged.lines()
    assert [(line["event"], line["thread"], line["error"]) for line in lines] == [
        ("thread crashed", "worker", "ValueError: x")
    ]


def test_an_exception_in_a_destructor_is_logged(logged) -> None:
    logged.configure()

    class Bad:
        def __del__(self) -> None:
            raise ValueError("x")

    Bad()
    assert logged.last()["error"] == "ValueError: x"
    assert "__del__" in str(logged.last()["object"])


def test_everything_is_put_back(logged) -> None:
    root = logging.getLogger()
    before = (root.handlers[:], root.level, threading.excepthook, sys.unraisablehook, warnings.showwarning)
    logged.configure().close()
    assert (
        root.handlers[:],
        root.level,
        threading.excepthook,
        sys.unraisablehook,
        warnings.showwarning,
    ) == before
    logged.handle.close()
    assert root.handlers == before[0]


CRASH = """
import sys
from tickerd.observe.logging import configure
handle = configure(secrets=["hunter2"])
if "after" in sys.argv:
    handle.close()
raise KeyboardInterrupt if "interrupt" in sys.argv else ValueError("token is hunter2")
"""


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_crash_shows_no_secret(when: str) -> None:
    done = subprocess.run([sys.executable, "-c", CRASH, when], capture_output=True, text=True, check=False)
    shown = done.stdout if when == "before" else done.stderr
    assert done.returncode == 1
    assert "ValueError: token is ***" in shown
    assert "hunter2" not in done.stdout + done.stderr
    assert ('"event":"crashed"' in shown) == (when == "before")


def test_an_interrupt_is_quiet() -> None:
    done = subprocess.run(
        [sys.executable, "-c", CRASH, "interrupt"], capture_output=True, text=True, check=False
    )
    assert done.stdout + done.stderr == ""
