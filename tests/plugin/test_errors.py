"""The exceptions that mean something to the host."""

import pytest
import trio

from tickerd.plugin import Closed, Rejected, Retry
from tickerd.plugin.errors import may_pass


def test_a_retry_says_why_and_when() -> None:
    retry = Retry("disk full", after=2.5)
    assert (str(retry), retry.reason, retry.after) == ("disk full", "disk full", 2.5)
    assert Retry("busy").after is None


def test_a_closed_context_is_a_mistake_of_the_program() -> None:
    assert issubclass(Closed, RuntimeError)
    assert not issubclass(Rejected, OSError), (
        "what needs a person must not be retried as a failing connection is"
    )


@pytest.mark.parametrize(
    "error", [OSError(), ConnectionResetError(), trio.BrokenResourceError(), trio.TooSlowError(), Retry("x")]
)
def test_outages_may_pass_alone_and_in_groups(error: Exception) -> None:
    assert may_pass(error)
    assert may_pass(ExceptionGroup("g", [error, ExceptionGroup("inner", [OSError()])]))
    assert not may_pass(ExceptionGroup("g", [error, ValueError()]))


@pytest.mark.parametrize("error", [ValueError(), Rejected(), Closed(), KeyboardInterrupt()])
def test_all_else_may_not(error: BaseException) -> None:
    assert not may_pass(error)
