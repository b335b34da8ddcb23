"""How other senders sign: what verifies, and what does not."""

import hashlib
import hmac

import pytest

from tickerd.plugin import Rejected
from tickerd.wire.standard_webhooks import headers
from tickerd_plugins.webhook.profiles import PROFILES, VERIFIERS, key

KEY, OTHER = b"k" * 32, b"o" * 32
NOW = 1_700_000_000
BODY = b'{"type":"x"}'


def signed(profile, body=BODY, secret=KEY, now=NOW):
    """The headers of a genuine request."""
    if profile == "standard-webhooks":
        return headers([secret], "msg_1", now, body)
    if profile == "github":
        return {
            "x-hub-signature-256": "sha256=" + hmac.digest(secret, body, "sha256").hex(),
            "x-github-event": "push",
            "x-github-delivery": "1",
        }
    mac = hmac.digest(secret, b"%d.%b" % (now, body), "sha256").hex()
    return {"stripe-signature": f"t={now},v1=00,v0=x,v1={mac}"}


@pytest.mark.parametrize("profile", PROFILES)
def test_what_is_genuine_verifies_with_any_of_the_keys(profile):
    verify = VERIFIERS[profile]
    found = verify([OTHER, KEY], BODY, signed(profile), NOW)
    assert found == verify([KEY], BODY, signed(profile), NOW)
    assert found.id
    assert found.kind == ("push" if profile == "github" else None)


@pytest.mark.parametrize("profile", PROFILES)
def test_a_flipped_byte_a_wrong_key_and_no_signature_are_refused(profile):
    verify = VERIFIERS[profile]
    for keys, body, given in (
        ([KEY], BODY.replace(b"x", b"y"), signed(profile)),
        ([OTHER], BODY, signed(profile)),
        ([KEY], BODY, {}),
        ([KEY], BODY, signed(profile, body=b"{}")),
        ([KEY], BODY, dict.fromkeys(signed(profile), "\u20b9")),
    ):
        with pytest.raises(Rejected):
            verify(keys, body, given, NOW)


@pytest.mark.parametrize("profile", ["standard-webhooks", "stripe"])
def test_what_is_older_than_five_minutes_is_refused(profile):
    VERIFIERS[profile]([KEY], BODY, signed(profile), NOW + 300)
    for now in (NOW + 301, NOW - 301):
        with pytest.raises(Rejected, match="too far"):
            VERIFIERS[profile]([KEY], BODY, signed(profile), now)


def test_of_stripes_times_there_may_be_one():
    given = signed("stripe")["stripe-signature"]
    for bad in (given + f",t={NOW}", given.replace(f"t={NOW}", "t=x"), given.replace(f"t={NOW},", "")):
        with pytest.raises(Rejected, match="timestamp"):
            VERIFIERS["stripe"]([KEY], BODY, {"stripe-signature": bad}, NOW)


def test_a_copy_has_the_same_id_whatever_of_it_was_not_signed():
    verify = VERIFIERS["github"]
    copy = signed("github") | {"x-github-delivery": "2", "x-github-event": "ping"}
    assert verify([KEY], BODY, copy, NOW).id == verify([KEY], BODY, signed("github"), NOW).id
    other = b'{"type":"y"}'
    assert verify([KEY], other, signed("github", other), NOW).id != verify([KEY], BODY, copy, NOW).id


def test_githubs_own_example():
    given = {"x-hub-signature-256": "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"}
    found = VERIFIERS["github"]([b"It's a Secret to Everybody"], b"Hello, World!", given, 0)
    assert found.id == hashlib.sha256(b"Hello, World!").hexdigest()


def test_secrets_become_keys():
    assert key("github", "abc") == b"abc"
    with pytest.raises(ValueError, match="empty"):
        key("stripe", "")
    with pytest.raises(ValueError, match="whsec_"):
        key("standard-webhooks", "abc")
