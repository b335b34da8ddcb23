"""Exceptions as text."""

import sys

import pytest

from tickerd.observe.exceptions import add_exception, as_exception, brief, full


class Mute(Exception):
    def __str__(self) -> str:
        raise RuntimeError


def test_what_exc_info_may_be() -> None:
    error = ValueError("x")
    assert as_exception(error) is error
    assert as_exception((ValueError, error, None)) is error
    assert as_exception((None, None, None)) is None
    assert as_exception(None) is None
    assert as_exception(True) is None
    try:
        raise error
    except ValueError:
        assert as_exception(True) is error
        assert as_exception(sys.exc_info()) is error


def test_a_group_is_told_by_what_it_holds() -> None:
    group = ExceptionGroup(
        "outer", [ValueError("a"), ExceptionGroup("inner", [OSError(28, "disk full"), KeyError()])]
    )
    assert brief(group) == "ValueError: a; OSError: [Errno 28] disk full; KeyError"


def test_a_large_group_is_cut() -> None:
    assert brief(ExceptionGroup("g", [ValueError(str(n)) for n in range(50)])).endswith("ValueError: 7; …")


def test_a_traceback_shows_code_and_no_values() -> None:
    try:
        value = "local-" + "value"
        int(value)
    except ValueError as error:
        text = full(error)
    assert "int(value)" in text
    assert "value = " not in text


def test_an_exception_that_cannot_be_shown_is_still_named(monkeypatch: pytest.MonkeyPatch) -> None:
    assert brief(Mute()) == "Mute: <unprintable>"
    monkeypatch.setattr("traceback.TracebackException.from_exception", lambda *_, **__: 1 / 0)
    assert full(Mute()) == "Mute: <unprintable>\n(its traceback cannot be shown: ZeroDivisionError)"


def test_the_processor_keeps_an_error_that_the_caller_wrote() -> None:
    event = add_exception(None, "", {"event": "x", "error": "mine", "exc_info": ValueError("y")})
    assert event["error"] == "mine"
    assert "ValueError: y" in event["exception"]
    assert add_exception(None, "", {"event": "x", "exc_info": False}) == {"event": "x"}
