"""The pepper's file: made once, private, kept apart; damage is told and never papered over."""

import os
import secrets
import stat
import threading

import pytest

from tickerd.state import StateError, pepper
from tickerd.state.pepper import FILE, Peppers, open_peppers, write_private


def test_it_is_made_once_and_only_its_owner_reads_it(tmp_path):
    first = open_peppers(tmp_path)
    assert stat.S_IMODE((tmp_path / FILE).stat().st_mode) == 0o600
    again = open_peppers(tmp_path)
    assert again.newest == first.newest
    assert again.digest("a") == first.digest("a")
    assert [path.name for path in tmp_path.iterdir()] == [FILE]


def test_another_pepper_makes_other_digests(tmp_path):
    assert open_peppers(tmp_path / "a").digest("x") != open_peppers(tmp_path / "b").digest("x")


def test_a_line_that_is_added_is_for_new_keys_and_old_ones_go_on(tmp_path):
    old = open_peppers(tmp_path)
    with (tmp_path / FILE).open("a") as file:
        file.write(f"{secrets.token_hex(32)}\n")
    new = open_peppers(tmp_path)
    assert new.newest != old.newest
    assert old.newest in new
    assert new.digest("x", old.newest) == old.digest("x")
    assert new.digest("x") != old.digest("x")


def test_a_pepper_that_is_gone_makes_no_right_digest(tmp_path):
    lost, mine = open_peppers(tmp_path / "a"), open_peppers(tmp_path / "b")
    assert lost.newest not in mine
    assert mine.digest("x", lost.newest) != lost.digest("x")


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644])
def test_a_file_that_others_can_read_is_refused(tmp_path, mode):
    open_peppers(tmp_path)
    (tmp_path / FILE).chmod(mode)
    with pytest.raises(StateError, match=rf"others can read it \(mode {mode:04o}\); chmod 600 it"):
        open_peppers(tmp_path)


@pytest.mark.parametrize("text", ["", "\n", "abc\n", "0" * 63, "0" * 64 + "\nxyz", "\xff\x00"])
def test_a_damaged_file_is_told_and_not_replaced(tmp_path, text):
    (tmp_path / FILE).write_text(text, encoding="latin-1")
    (tmp_path / FILE).chmod(0o600)
    with pytest.raises(StateError, match="does not hold lines of 64 hexadecimal digits"):
        open_peppers(tmp_path)
    assert (tmp_path / FILE).read_text(encoding="latin-1") == text


def test_a_file_that_may_not_be_read_says_who_may(tmp_path, monkeypatch):
    def refused(path):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(pepper, "_read", refused)
    with pytest.raises(StateError, match="run this as the daemon's user or as root"):
        open_peppers(tmp_path)


def test_a_directory_in_its_place_is_told(tmp_path):
    (tmp_path / FILE).mkdir()
    with pytest.raises(StateError, match="cannot be used: Is a directory"):
        open_peppers(tmp_path)


def test_two_that_make_it_at_the_same_time_have_the_same(tmp_path):
    names, start = [], threading.Barrier(8)

    def make():
        start.wait()
        names.append(open_peppers(tmp_path).newest)

    threads = [threading.Thread(target=make) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(names)) == 1
    assert len(names) == 8


@pytest.mark.root
def test_root_gives_it_to_the_owner_of_the_directory(tmp_path):
    os.chown(tmp_path, 12345, 12346)
    open_peppers(tmp_path)
    made = (tmp_path / FILE).stat()
    assert (made.st_uid, made.st_gid, stat.S_IMODE(made.st_mode)) == (12345, 12346, 0o600)


def test_a_private_file_is_never_written_over(tmp_path):
    assert write_private(tmp_path / "a", "1")
    assert not write_private(tmp_path / "a", "2")
    assert (tmp_path / "a").read_text() == "1"
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_no_pepper_prints():
    secret = secrets.token_bytes(32)
    peppers = Peppers([secret])
    assert secret.hex() not in repr(peppers)
    assert repr(secret)[2:-1] not in repr(peppers)
