"""Keys as they are stored: what is kept, what a change does, and its line of the audit trail."""

import secrets

import pytest
from pydantic import ValidationError

from tickerd.plugin import ALL_SCOPES, Rate
from tickerd.state import audit, keys
from tickerd.state.keys import By, KeyLimits, KeyRefused, NewKey
from tickerd.state.keytext import new_key
from tickerd.state.pepper import Peppers

S = 10**9
DAY = 86_400 * S
NOW = 1_800_000_000 * S
BY = By("uid 1000", "cli")


@pytest.fixture
def peppers():
    return Peppers([secrets.token_bytes(32)])


@pytest.fixture
def make(connection, peppers):
    def make(now_ns=NOW, **values):
        new = NewKey.model_validate({"label": "charts", "scopes": ["ticks:read"], **values})
        return keys.create(connection, peppers, new, BY, now_ns=now_ns)

    return make


def test_what_is_kept_is_what_was_asked_for_and_never_the_key(connection, make, peppers):
    made = make(
        label="back-up", scopes=["ticks:read:NSE", "history:read"], expires_in="90 days",
        networks=["10.0.0.0/8", "::1"], limits={"rates": {"reads": "60/minute"}, "connections": 3}, kind="test",
    )  # fmt: skip
    (found,) = keys.every(connection)
    assert found == made.key == keys.get(connection, made.text.id)
    assert (found.label, found.kind, found.scopes) == ("back-up", "test", ("ticks:read:NSE", "history:read"))
    assert [str(network) for network in found.networks] == ["10.0.0.0/8", "::1/128"]
    assert found.limits == KeyLimits(rates={"reads": Rate(60, 60)}, connections=3)
    assert (found.created_ns, found.expires_ns, found.last_used_ns) == (NOW, NOW + 90 * DAY, None)
    assert found.digest == peppers.digest(made.text.text)
    assert found.pepper == peppers.newest
    secret = made.text.text.rpartition("_")[2]
    assert secret not in "\n".join(connection.iterdump())
    assert repr(found.digest) not in repr(found)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"label": ""}, "at least 1 character"),
        ({"label": "   "}, "characters that print"),
        ({"label": "a\nb"}, "characters that print"),
        ({"label": "a\x1b[2Jb"}, "characters that print"),
        ({"label": "a\u202eb"}, "characters that print"),
        ({"label": "x" * 65}, "at most 64 characters"),
        ({"scopes": []}, "at least 1 item"),
        ({"scopes": ["everything"]}, "expected a scope"),
        ({"networks": ["10.0.0.1/8"]}, "expected a network"),
        ({"networks": ["host"]}, "expected a network"),
        ({"networks": ["10.0.0.1"] * 65}, "at most 64 items"),
        ({"expires_in": "0s"}, "greater than 0"),
        ({"limits": {"rates": {"addresses": "1/minute"}}}, "expected one of administration"),
        ({"limits": {"rates": {"reads": "often"}}}, "expected a rate"),
        ({"limits": {"connections": 0}}, "greater than or equal to 1"),
        ({"kind": "boot"}, "'live' or 'test'"),
        ({"pin": 1}, "not permitted"),
    ],
)
def test_what_makes_no_sense_is_refused(values, said):
    with pytest.raises(ValidationError, match=said):
        NewKey.model_validate({"label": "a", "scopes": ["ticks:read"], **values})


def test_hostile_texts_are_refused_or_kept_as_they_are(connection, make, hostile):
    try:
        made = make(label=hostile)
    except ValidationError:
        return
    assert keys.get(connection, made.key.id).label == hostile.strip()


def test_hostile_ids_find_nothing(connection, make, hostile):
    make()
    assert keys.get(connection, hostile) is None
    with pytest.raises(KeyRefused, match="there is no key"):
        keys.revoke(connection, hostile, BY, now_ns=NOW)
    assert len(keys.every(connection)) == 1


def test_a_key_is_active_until_it_expires_or_is_revoked(connection, make):
    key = make(expires_in="1 day").key
    assert key.status(NOW + DAY - 1) == "active"
    assert key.status(NOW + DAY) == "expired"
    revoked = keys.revoke(connection, key.id, BY, now_ns=NOW + 5)
    assert revoked.status(NOW) == "revoked"
    assert keys.get(connection, key.id).revoked_ns == NOW + 5


def test_rotation_makes_a_successor_with_the_same_rights_and_lets_both_work(connection, make, peppers):
    old = make(scopes=["ticks:read:NSE"], networks=["::1"], expires_in="90 days", kind="test").key
    later = NOW + 30 * DAY
    made = keys.rotate(connection, peppers, old.id, BY, now_ns=later)
    before, after = keys.get(connection, old.id), made.key
    assert (before.successor, before.expires_ns, before.status(later)) == (after.id, later + DAY, "rotated")
    assert before.status(later + DAY) == "expired"
    assert (after.label, after.scopes, after.networks, after.limits, after.kind) == (
        old.label, old.scopes, old.networks, old.limits, "test",
    )  # fmt: skip
    assert after.expires_ns == later + 90 * DAY
    assert after.status(later) == "active"


def test_a_rotation_never_lengthens_a_life(connection, make, peppers):
    old = make(expires_in="1h").key
    keys.rotate(connection, peppers, old.id, BY, now_ns=NOW)
    assert keys.get(connection, old.id).expires_ns == NOW + 3600 * S


def test_a_rotation_after_a_leak_ends_the_old_key_at_once(connection, make, peppers):
    old = make().key
    made = keys.rotate(connection, peppers, old.id, BY, overlap_s=0, now_ns=NOW + 1)
    assert keys.get(connection, old.id).status(NOW + 1) == "revoked"
    assert made.key.expires_ns is None


def test_what_has_ended_or_was_rotated_is_not_changed_again(connection, make, peppers):
    rotated, revoked, expired = make().key, make().key, make(expires_in="1s").key
    successor = keys.rotate(connection, peppers, rotated.id, BY, now_ns=NOW).key
    keys.revoke(connection, revoked.id, BY, now_ns=NOW)
    later = NOW + 2 * S
    with pytest.raises(KeyRefused, match=f"its successor is {successor.id}") as caught:
        keys.rotate(connection, peppers, rotated.id, BY, now_ns=later)
    assert caught.value.problem == "rotated"
    for key, status in ((revoked, "revoked"), (expired, "expired")):
        for change in (keys.revoke, lambda c, i, by, now_ns: keys.rotate(c, peppers, i, by, now_ns=now_ns)):
            with pytest.raises(KeyRefused, match=f"is {status} already") as caught:
                change(connection, key.id, BY, now_ns=later)
            assert caught.value.problem == "ended"


def test_a_rotated_key_can_still_be_revoked(connection, make, peppers):
    old = make().key
    keys.rotate(connection, peppers, old.id, BY, now_ns=NOW)
    assert keys.revoke(connection, old.id, BY, now_ns=NOW).status(NOW) == "revoked"


def test_each_change_is_in_the_audit_trail_without_any_secret(connection, make, peppers):
    made = make()
    successor = keys.rotate(connection, peppers, made.key.id, BY, now_ns=NOW + 1)
    keys.revoke(connection, made.key.id, BY, now_ns=NOW + 2)
    trail = audit.page(connection)
    assert [(one.what, one.who, one.origin, one.when_ns) for one in trail] == [
        ("keys.revoke", *BY, NOW + 2), ("keys.rotate", *BY, NOW + 1), ("keys.create", *BY, NOW),
    ]  # fmt: skip
    revoked, rotated, created = trail
    assert (created.before, created.after["id"]) == (None, made.key.id)
    assert (rotated.before["id"], rotated.after["id"]) == (made.key.id, successor.key.id)
    assert (revoked.before["status"], revoked.after["status"]) == ("rotated", "revoked")
    for text in (made.text.text, successor.text.text, made.key.digest.hex()):
        assert text not in repr(trail)


def test_there_is_an_end_to_how_many_there_are(connection, make, monkeypatch):
    monkeypatch.setattr(keys, "MOST", 3)
    first = make().key
    make()
    make()
    with pytest.raises(KeyRefused, match="there are 3 keys already") as caught:
        make()
    assert caught.value.problem == "full"
    keys.revoke(connection, first.id, BY, now_ns=NOW)
    make(now_ns=NOW + 91 * DAY)
    assert keys.get(connection, first.id) is None


def test_last_use_only_moves_forward(connection, make):
    key = make().key
    for when, after in ((NOW, NOW), (NOW + 60 * S, NOW + 60 * S), (NOW, NOW + 60 * S)):
        keys.touch(connection, {key.id: when, "nobody": when})
        assert keys.get(connection, key.id).last_used_ns == after


def test_the_first_key_is_only_ever_the_first(connection, make, peppers):
    text = new_key("boot")
    assert keys.first(connection, peppers, text, sorted(ALL_SCOPES), now_ns=NOW)
    key = keys.get(connection, text.id)
    assert (key.kind, set(key.scopes), key.expires_ns) == ("boot", ALL_SCOPES, NOW + 7 * DAY)
    assert not keys.first(connection, peppers, new_key("boot"), [], now_ns=NOW)
    assert keys.rotate(connection, peppers, text.id, BY, now_ns=NOW).key.kind == "live"
