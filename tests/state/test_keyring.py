"""Keys in the daemon: constant work for whoever is wrong, and an end within a second for whoever is let in."""

import hmac
import stat
from contextlib import asynccontextmanager

import pytest
import trio
import trio.testing

from tickerd.plugin import ALL_SCOPES, Clock, Rate
from tickerd.state import StateError, keyring, keys, tools
from tickerd.state.keyring import BOOTSTRAP_FILE, Keyring
from tickerd.state.keys import By, KeyRefused, NewKey
from tickerd.state.keytext import new_key
from tickerd.state.pepper import FILE, Peppers, open_peppers

S = 10**9
DAY = 86_400 * S
NOW = 1_800_000_000 * S
BY = By("uid 1000", "cli")


@pytest.fixture
def mock_clock():
    """For tests that name it; threads take part, so that it must not jump too early."""
    return trio.testing.MockClock(autojump_threshold=0.02)


@asynccontextmanager
async def running(db, directory):
    ring = Keyring(db, Clock(NOW), directory)
    async with trio.open_nursery() as nursery:
        await nursery.start(ring_run, ring)
        yield ring
        nursery.cancel_scope.cancel()


async def ring_run(ring, task_status):
    await ring.run(task_status=task_status)


@pytest.fixture
async def ring(db, tmp_path):
    async with running(db, tmp_path) as ring:
        yield ring


def new(**values):
    return NewKey.model_validate({"label": "charts", "scopes": ["ticks:read"], **values})


async def test_a_key_is_its_holders(ring):
    made = await ring.create(
        new(
            scopes=["ticks:read:NSE"],
            limits={"rates": {"reads": "5/minute"}, "connections": 2},
            expires_in="1h",
        ),
        BY,
    )
    principal = ring.verify(made.text.text)
    assert principal.id == f"key {made.key.id}"
    assert (principal.scopes, principal.instruments) == ({"ticks:read"}, {"NSE"})
    assert (principal.limits.rates, principal.limits.connections) == ({"reads": Rate(5, 60)}, 2)
    assert principal.expires_at == made.key.expires_ns
    assert ring.verify(made.text.text) is principal
    assert not ring.refused


async def test_nobody_is_verified_before_the_keys_are_loaded(db, tmp_path):
    ring = Keyring(db, Clock(NOW), tmp_path)
    assert ring.verify(new_key("live").text) is None
    assert ring.refused == {"not_ready": 1}
    with pytest.raises(trio.ClosedResourceError):
        await ring.create(new(), BY)


class Spy:
    """Counts digests and comparisons."""

    def __init__(self, monkeypatch):
        self.digests = self.compared = 0
        digest, compare = Peppers.digest, hmac.compare_digest

        def counted_digest(peppers, text, name=None):
            self.digests += 1
            return digest(peppers, text, name)

        def counted_compare(left, right):
            assert len(left) == len(right) == 32
            self.compared += 1
            return compare(left, right)

        monkeypatch.setattr(Peppers, "digest", counted_digest)
        monkeypatch.setattr(keyring.hmac, "compare_digest", counted_compare)


async def test_a_key_that_does_not_exist_costs_exactly_what_a_wrong_one_costs(ring, monkeypatch):
    made = await ring.create(new(), BY)
    other = new_key("live")
    wrong = new_key("live").text
    while (forged := keytext_with(made.key.id, wrong)) is None:
        wrong = new_key("live").text
    spy = Spy(monkeypatch)
    for text, reason in ((made.text.text, None), (other.text, "unknown"), (forged, "wrong")):
        spy.digests = spy.compared = 0
        assert (ring.verify(text) is None) is (reason is not None)
        assert (spy.digests, spy.compared) == (1, 1)
        if reason:
            assert ring.refused[reason] == 1


def keytext_with(public, text):
    """A well-formed key with somebody else's id."""
    from tickerd.state import keytext

    body = "_".join([*text.split("_")[:2], public, text.split("_")[3][:43]])
    return body + keytext._check(body)


async def test_typos_are_refused_without_a_digest(ring, monkeypatch):
    made = await ring.create(new(), BY)
    spy = Spy(monkeypatch)
    for text in ("", "x", made.text.text[:-1], made.text.text.swapcase(), made.text.text + "\n", "k" * 10**6):
        assert ring.verify(text) is None
    assert (spy.digests, spy.compared) == (0, 0)
    assert ring.refused == {"malformed": 6}


async def test_a_thousand_wrong_keys_are_a_thousand_digests_and_no_look_into_the_file(ring, monkeypatch):
    async def never(*args):
        raise AssertionError("the file was read")

    spy = Spy(monkeypatch)
    monkeypatch.setattr(ring._db, "read", never)
    for _ in range(1000):
        assert ring.verify(new_key("live").text) is None
    assert (spy.digests, ring.refused["unknown"], len(ring._used)) == (1000, 1000, 0)


async def test_revoking_ends_those_who_were_let_in(ring):
    made, other = await ring.create(new(), BY), await ring.create(new(), BY)
    principal, bystander = ring.verify(made.text.text), ring.verify(other.text.text)
    await ring.revoke(made.key.id, BY)
    assert principal.revoked.is_set()
    assert principal.validity.ended == "revoked"
    assert not bystander.revoked.is_set()
    assert ring.verify(made.text.text) is None
    assert ring.refused == {"revoked": 1}


async def test_what_a_tool_revokes_ends_within_a_second(mock_clock, ring, tmp_path):
    made = await ring.create(new(), BY)
    principal = ring.verify(made.text.text)
    with tools.writing(tmp_path) as connection:
        keys.revoke(connection, made.key.id, BY, now_ns=NOW)
    with trio.fail_after(1):
        assert await principal.until_ended(ring._clock) == "revoked"


async def test_what_a_tool_makes_works_within_a_second(mock_clock, ring, tmp_path):
    with tools.writing(tmp_path) as connection:
        made = keys.create(connection, open_peppers(tmp_path), new(), BY, now_ns=NOW)
    assert ring.verify(made.text.text) is None
    await trio.sleep(1)
    assert ring.verify(made.text.text) is not None


async def test_a_key_that_vanishes_from_the_file_ends(mock_clock, ring, tmp_path):
    principal = ring.verify((await ring.create(new(), BY)).text.text)
    with tools.writing(tmp_path) as connection:
        connection.execute("DELETE FROM keys")
    with trio.fail_after(1):
        await principal.revoked.wait()


async def test_a_key_that_comes_to_mean_something_else_ends_whom_it_let_in(mock_clock, ring, tmp_path):
    made = await ring.create(new(), BY)
    principal = ring.verify(made.text.text)
    with tools.writing(tmp_path) as connection:
        connection.execute("UPDATE keys SET scopes = '[\"metrics:read\"]'")
    with trio.fail_after(1):
        await principal.revoked.wait()
    assert ring.verify(made.text.text).scopes == {"metrics:read"}


async def test_expiry_ends_streams_in_time_and_others_go_on(mock_clock, ring):
    made, other = await ring.create(new(expires_in="10s"), BY), await ring.create(new(expires_in="1h"), BY)
    principal, bystander = ring.verify(made.text.text), ring.verify(other.text.text)
    await trio.sleep(9.5)
    assert not principal.revoked.is_set()
    with trio.fail_after(1):
        await principal.revoked.wait()
    assert principal.validity.ended == "expired"
    assert ring.verify(made.text.text) is None
    assert ring.refused == {"expired": 1}
    assert not bystander.revoked.is_set()
    assert ring.verify(other.text.text) is bystander


async def test_expiry_counts_to_the_moment_even_between_two_looks(mock_clock, ring, monkeypatch):
    monkeypatch.setattr(keyring, "LOOK_S", 3600)
    made = await ring.create(new(expires_in="1s"), BY)
    await trio.sleep(1)
    assert ring.verify(made.text.text) is None


async def test_rotation_lets_both_work_and_then_only_the_new(mock_clock, ring):
    old = await ring.create(new(), BY)
    held = ring.verify(old.text.text)
    fresh = await ring.rotate(old.key.id, BY, overlap_s=10)
    assert ring.verify(old.text.text) is held
    assert held.expires_at == pytest.approx(NOW + 10 * S, abs=S)
    assert ring.verify(fresh.text.text).scopes == {"ticks:read"}
    with trio.fail_after(11):
        await held.revoked.wait()
    assert held.validity.ended == "expired"
    assert ring.verify(old.text.text) is None
    assert ring.verify(fresh.text.text) is not None


async def test_rotation_after_a_leak_ends_the_old_at_once(ring):
    old = await ring.create(new(), BY)
    held = ring.verify(old.text.text)
    await ring.rotate(old.key.id, BY, overlap_s=0)
    assert held.validity.ended == "revoked"


async def test_a_refused_change_says_why_and_changes_nothing(ring):
    with pytest.raises(KeyRefused, match="there is no key 'nobody'"):
        await ring.revoke("nobody", BY)
    assert await ring.every() == []


@pytest.mark.parametrize(
    ("networks", "peer", "good"),
    [
        (["10.0.0.0/8"], "10.1.2.3", True),
        (["10.0.0.0/8"], "11.1.2.3", False),
        (["10.0.0.0/8"], "::ffff:10.1.2.3", True),
        (["10.0.0.0/8", "fd00::/8"], "fd00::1", True),
        (["fe80::/10"], "fe80::1%eth0", True),
        (["10.0.0.0/8"], "fd00::1", False),
        (["10.0.0.0/8"], None, False),
        (["10.0.0.0/8"], "10.1.2.3, 8.8.8.8", False),
        ([], None, True),
        ([], "8.8.8.8", True),
    ],
)
async def test_a_key_holds_in_its_networks_only(ring, networks, peer, good):
    made = await ring.create(new(networks=networks), BY)
    assert (ring.verify(made.text.text, peer) is not None) is good
    assert ring.refused == ({} if good else {"network": 1})


async def test_the_last_use_is_coarse_and_written_now_and_then(mock_clock, ring, monkeypatch):
    monkeypatch.setattr(keyring, "FLUSH_S", 10)
    made = await ring.create(new(), BY)
    await trio.sleep(1)
    ring.verify(made.text.text)
    (unwritten,) = await ring._db.read(keys.every)
    assert unwritten.last_used_ns is None
    await trio.sleep(61)
    (written,) = await ring._db.read(keys.every)
    assert written.last_used_ns == NOW - NOW % (60 * S)


async def test_whoever_lists_the_keys_sees_the_last_use(ring):
    made = await ring.create(new(), BY)
    ring.verify(made.text.text)
    (key,) = await ring.every()
    assert key.last_used_ns is not None


async def test_the_last_use_is_written_when_it_ends(db, tmp_path):
    async with running(db, tmp_path) as ring:
        made = await ring.create(new(), BY)
        ring.verify(made.text.text)
    assert (await db.read(keys.get, made.key.id)).last_used_ns is not None


async def test_a_file_that_cannot_be_read_leaves_the_keys_as_they_were(mock_clock, ring, monkeypatch):
    monkeypatch.setattr(keyring, "FLUSH_S", 5)
    made = await ring.create(new(), BY)

    async def fails(*args):
        raise StateError(ring._db.path, "full", "the disk is full")

    for name in ("changes", "run", "read"):
        monkeypatch.setattr(ring._db, name, fails)
    assert ring.verify(made.text.text) is not None
    await trio.sleep(12)
    assert ring.verify(made.text.text) is not None
    assert ring._used


async def test_keys_whose_pepper_is_gone_are_told_and_let_nobody_in(db, tmp_path):
    async with running(db, tmp_path) as ring:
        made = await ring.create(new(), BY)
    (tmp_path / FILE).unlink()
    async with running(db, tmp_path) as ring:
        assert ring.verify(made.text.text) is None
        assert ring.refused == {"wrong": 1}
        assert ring.verify((await ring.create(new(), BY)).text.text) is not None


async def test_a_pepper_that_was_added_is_picked_up(mock_clock, ring, tmp_path):
    with (tmp_path / FILE).open("a") as file:
        file.write("ab" * 32 + "\n")
    with tools.writing(tmp_path) as connection:
        made = keys.create(connection, open_peppers(tmp_path), new(), BY, now_ns=NOW)
    await trio.sleep(1)
    assert ring.verify(made.text.text) is not None


async def test_a_pepper_that_others_can_read_stops_the_start(db, tmp_path):
    open_peppers(tmp_path)
    (tmp_path / FILE).chmod(0o644)
    with pytest.raises(StateError, match="others can read it"):
        await Keyring(db, Clock(NOW), tmp_path).run()


async def test_the_first_start_leaves_one_key_for_whoever_reads_the_directory(ring, tmp_path):
    path = await ring.bootstrap()
    assert path == tmp_path / BOOTSTRAP_FILE
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    principal = ring.verify(path.read_text().strip())
    assert principal.scopes == ALL_SCOPES
    assert principal.expires_at is not None
    assert await ring.bootstrap() is None


async def test_there_is_no_such_key_where_there_ever_was_another(ring, tmp_path):
    made = await ring.create(new(), BY)
    await ring.revoke(made.key.id, BY)
    assert await ring.bootstrap() is None
    assert not (tmp_path / BOOTSTRAP_FILE).exists()


async def test_a_key_that_was_left_over_from_before_does_not_come_back(ring, tmp_path):
    old = new_key("boot").text
    (tmp_path / BOOTSTRAP_FILE).write_text(old)
    path = await ring.bootstrap()
    assert ring.verify(old) is None
    assert ring.verify(path.read_text().strip()) is not None


async def test_no_key_prints(ring):
    made = await ring.create(new(), BY)
    principal = ring.verify(made.text.text)
    secret = made.text.text.rpartition("_")[2]
    for thing in (made, made.key, principal, ring._index, ring.__dict__):
        assert secret not in repr(thing)
