"""The level switch."""

import timeit

import pytest
import structlog
from structlog.testing import LogCapture

from tickerd.observe.levels import LEVELS, LevelSwitch, level_number


@pytest.fixture
def switched() -> tuple[LevelSwitch, structlog.typing.FilteringBoundLogger, LogCapture]:
    switch, capture = LevelSwitch("info"), LogCapture()
    log = structlog.wrap_logger(None, processors=[capture], wrapper_class=switch.logger_class).bind()
    return switch, log, capture


def test_a_logger_bound_before_obeys_at_once(switched) -> None:
    switch, log, capture = switched
    log.debug("no")
    switch.switch("debug")
    log.debug("yes")
    log.bind(unit="kite").debug("yes")
    switch.switch("ERROR")
    log.warning("no")
    log.log(LEVELS["info"], "no")
    log.error("yes")
    assert [entry["event"] for entry in capture.entries] == ["yes"] * 3
    assert switch.level == "error"
    assert not log.is_enabled_for(LEVELS["warning"])


def test_a_filtered_call_is_cheap(switched) -> None:
    _, log, _ = switched
    filtered = min(timeit.repeat(lambda: log.debug("x", a=1), number=10_000, repeat=3))
    emitted = min(timeit.repeat(lambda: log.info("x", a=1), number=10_000, repeat=3))
    assert filtered < emitted / 3


def test_an_unknown_level_is_named_with_those_there_are() -> None:
    with pytest.raises(ValueError, match="unknown log level 'loud', choose one of debug, info, warning"):
        level_number("loud")
    switch = LevelSwitch("info")
    with pytest.raises(ValueError, match="loud"):
        switch.switch("loud")
    assert switch.level == "info"
