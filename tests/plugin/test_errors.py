"""The exceptions that mean something to the host."""

from tickerd.plugin import Closed, Rejected, Retry


def test_a_retry_says_why_and_when() -> None:
    retry = Retry("disk full", after=2.5)
    assert (str(retry), retry.reason, retry.after) == ("disk full", "disk full", 2.5)
    assert Retry("busy").after is None


def test_a_closed_context_is_a_mistake_of_the_program() -> None:
    assert issubclass(Closed, RuntimeError)
    assert not issubclass(Rejected, OSError), "what needs a person must not be retried as a failing connection is"
