"""Which secrets sign at what time."""

import standardwebhooks

from tickerd.wire.standard_webhooks import SIGNATURE, key_of, verify
from tickerd_plugins.webhook.signing import Key, Signer, new_secret

NEW, OLD = b"n" * 32, b"o" * 32
DAY = 86_400 * 10**9


def test_the_new_secret_signs_first_and_the_old_one_until_its_time_is_up():
    signer = Signer([Key(NEW), Key(OLD, until_ns=DAY)])
    during = signer.headers("msg_1", b"{}", DAY - 1)
    assert len(during[SIGNATURE].split()) == 2
    for key in (NEW, OLD):
        assert verify([key], during, b"{}", DAY / 1e9) == "msg_1"
    assert during[SIGNATURE].split()[0] == Signer([Key(NEW)]).headers("msg_1", b"{}", DAY - 1)[SIGNATURE]
    after = signer.headers("msg_1", b"{}", DAY)
    assert len(after[SIGNATURE].split()) == 1
    assert signer.live(DAY) == [NEW]


def test_new_secrets_are_long_and_different():
    found = {new_secret() for _ in range(50)}
    assert len(found) == 50
    assert {len(key_of(one)) for one in found} == {32}
    standardwebhooks.Webhook(found.pop())


def test_keys_do_not_print():
    assert "nnnn" not in repr(Key(NEW))
