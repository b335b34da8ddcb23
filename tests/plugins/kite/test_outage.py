"""Outages: states, waits, and finding them in exception groups."""

import pytest

from tickerd_plugins.kite.outage import Outage, outages


@pytest.mark.parametrize(
    ("reason", "state"),
    [
        ("auth", "auth_required"),
        ("rate_limited", "rate_limited"),
        ("tls", "reconnecting"),
        ("reset", "reconnecting"),
    ],
)
def test_each_reason_puts_the_connection_into_a_state(reason, state):
    assert Outage(reason, "").state == state


@pytest.mark.parametrize(("reason", "wait"), [("auth", 60), ("tls", 10), ("rate_limited", 5), ("reset", 0.2)])
def test_some_reasons_wait_longer_than_the_back_off(reason, wait):
    assert Outage(reason, "").wait(0.2) == wait
    assert Outage(reason, "").wait(70) == 70


def test_the_server_may_ask_for_a_longer_wait_within_reason():
    assert Outage("rate_limited", "", retry_after=30).wait(1) == 30
    assert Outage("http", "", retry_after=1e9).wait(1) == 300


def test_outages_are_found_at_any_depth():
    first, second = Outage("reset", "a"), Outage("silent", "b")
    tree = BaseExceptionGroup("", [KeyError(), ExceptionGroup("", [first]), second])
    assert list(outages(tree)) == [first, second]
    assert list(outages(KeyError())) == []
    assert list(outages(first)) == [first]
