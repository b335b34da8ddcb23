"""Standard Webhooks: what the reference library accepts, and what nobody should."""

import base64

import pytest
import standardwebhooks

from tickerd.wire.standard_webhooks import (
    ID,
    SIGNATURE,
    TIMESTAMP,
    Unverified,
    headers,
    key_of,
    secret_of,
    signature,
    verify,
)

KEY, OTHER = b"k" * 32, b"o" * 24
NOW = 1_700_000_000
BODY = '{"type":"x","data":"\u20b9"}'.encode()


def oracle(key, given, body, monkeypatch):
    monkeypatch.setattr(standardwebhooks.webhooks, "datetime", _Frozen)
    return standardwebhooks.Webhook(secret_of(key)).verify(body, given)


class _Frozen(standardwebhooks.webhooks.datetime):
    @classmethod
    def now(cls, tz=None):
        return cls.fromtimestamp(NOW, tz)


def test_the_example_of_the_specification():
    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    found = signature(key_of(secret), "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')
    assert found == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_the_reference_library_accepts_each_of_several_keys(monkeypatch):
    given = headers([KEY, OTHER], "msg_1", NOW, BODY)
    assert given[SIGNATURE].count("v1,") == 2
    for key in (KEY, OTHER):
        assert oracle(key, given, BODY, monkeypatch) == {"type": "x", "data": "\u20b9"}
    with pytest.raises(standardwebhooks.WebhookVerificationError):
        oracle(b"x" * 32, given, BODY, monkeypatch)


def test_what_was_signed_verifies_with_any_of_the_keys():
    given = headers([OTHER], "msg_1", NOW, BODY)
    assert verify([KEY, OTHER], given, BODY, NOW + 300) == "msg_1"
    both = headers([KEY, OTHER], "msg_1", NOW, BODY)
    assert verify([OTHER], both, BODY, NOW - 300) == "msg_1"


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({ID: "msg_2"}, "no signature fits"),
        ({ID: ""}, "no usable id"),
        ({ID: "x" * 300}, "no usable id"),
        ({TIMESTAMP: str(NOW + 1)}, "no signature fits"),
        ({TIMESTAMP: str(NOW - 301)}, "too far"),
        ({TIMESTAMP: str(NOW + 301)}, "too far"),
        ({TIMESTAMP: "-1"}, "no usable timestamp"),
        ({TIMESTAMP: "1" * 13}, "no usable timestamp"),
        ({TIMESTAMP: "\u0661\u0662"}, "no usable timestamp"),
        ({TIMESTAMP: ""}, "no usable timestamp"),
        ({SIGNATURE: ""}, "no signature fits"),
        ({SIGNATURE: "v1,"}, "no signature fits"),
        ({SIGNATURE: "v1a," + "A" * 44}, "no signature fits"),
        ({SIGNATURE: "\u20b9"}, "no signature fits"),
    ],
)
def test_anything_else_is_refused(change, why):
    given = headers([KEY], "msg_1", NOW, BODY) | change
    with pytest.raises(Unverified, match=why):
        verify([KEY], given, BODY, NOW)


def test_a_flipped_byte_and_a_wrong_key_are_refused():
    given = headers([KEY], "msg_1", NOW, BODY)
    for body, key in ((BODY[:-1] + b"]", KEY), (BODY + b" ", KEY), (BODY, OTHER)):
        with pytest.raises(Unverified):
            verify([key], given, body, NOW)


def test_one_signature_too_many_is_not_looked_at():
    given = headers([KEY], "msg_1", NOW, BODY)
    given[SIGNATURE] = "v1,x " * 16 + given[SIGNATURE]
    with pytest.raises(Unverified):
        verify([KEY], given, BODY, NOW)


@pytest.mark.parametrize(
    ("secret", "why"),
    [
        ("abc", "begins with 'whsec_'"),
        ("whsec_?", "must be base64"),
        ("whsec_\u20b9", "must be base64"),
        ("whsec_" + base64.b64encode(b"x" * 23).decode(), "24 to 64 bytes, not 23"),
        ("whsec_" + base64.b64encode(b"x" * 65).decode(), "24 to 64 bytes, not 65"),
    ],
)
def test_what_is_no_secret_is_told_without_it(secret, why):
    with pytest.raises(ValueError, match=why) as error:
        key_of(secret)
    assert secret not in str(error.value)


def test_a_key_comes_back_as_it_was():
    assert key_of(secret_of(KEY)) == KEY
