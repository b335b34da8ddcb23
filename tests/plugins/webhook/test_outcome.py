"""What answers mean."""

import pytest

from tickerd.plugin import Rejected, Retry
from tickerd_plugins.webhook.outbound import PUBLIC_TEXT, Response, Unreachable
from tickerd_plugins.webhook.outcome import failure, unreached


def answer(status, **headers):
    named = tuple((name.replace("_", "-"), value) for name, value in headers.items())
    return failure(Response(status, named, b"body", 0.1, False), now_s=1_700_000_000)


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
def test_success_is_a_delivery(status):
    assert answer(status) is None


def test_gone_disables():
    found = answer(410)
    assert isinstance(found, Rejected)
    assert "410" in str(found)


@pytest.mark.parametrize(
    ("status", "weight"),
    [
        (500, 1),
        (502, 1),
        (503, 1),
        (429, 1),
        (408, 1),
        (425, 1),
        (301, 1),
        (101, 1),
        (400, 2),
        (401, 2),
        (404, 2),
        (418, 2),
    ],
)
def test_the_rest_is_tried_again_and_refusals_count_double(status, weight):
    found = answer(status)
    assert isinstance(found, Retry)
    assert (found.weight, found.after, found.response) == (weight, None, b"body")
    assert str(status) in found.reason


def test_the_busy_may_say_when_to_come_again_and_others_may_not():
    assert answer(429, retry_after="7").after == 7
    assert answer(503, retry_after="Tue, 14 Nov 2023 22:14:20 GMT").after == 60
    assert answer(503, retry_after="99999").after == 3600
    assert answer(429, retry_after="soon").after is None
    assert answer(500, retry_after="7").after is None


def test_a_redirect_says_where_to_without_what_may_be_secret():
    found = answer(302, location="http://user:pw@169.254.169.254/latest?token=x")
    assert found.reason == "status 302, which is not followed (to '169.254.169.254')"
    assert answer(307, location="/other").reason == "status 307, which is not followed"
    assert answer(308, location="http://[::1").reason == "status 308, which is not followed"


def test_who_cannot_be_reached_is_told_in_words_that_give_nothing_away():
    for kind in ("dns", "connect", "tls", "timeout", "protocol", "too_large"):
        found = unreached(Unreachable(kind, "10.0.0.1: connection refused"))
        assert isinstance(found, Retry)
        assert (found.reason, found.weight) == (PUBLIC_TEXT, 1)
    denied = unreached(Unreachable("refused_by_policy", "10.0.0.1 is private"))
    assert isinstance(denied, Rejected)
    assert "10.0.0.1" not in str(denied)
