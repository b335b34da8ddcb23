"""The login on disk."""

import stat

import pytest

from tickerd_plugins.kite.saved import FILE, SavedLogin, load, save

LOGIN = SavedLogin(api_key="KEY", access_token="SECRET", user_id="AB1234", since_ns=5)


def test_what_was_saved_is_loaded(tmp_path):
    assert load(tmp_path) is None
    save(tmp_path, LOGIN)
    assert load(tmp_path) == LOGIN
    again = SavedLogin(api_key="KEY", access_token="OTHER", user_id="AB1234", since_ns=6)
    save(tmp_path, again)
    assert load(tmp_path) == again
    assert [path.name for path in tmp_path.iterdir()] == [FILE]


def test_nobody_else_can_read_it(tmp_path):
    (tmp_path / FILE).write_text("old")
    (tmp_path / FILE).chmod(0o644)
    (tmp_path / FILE).with_suffix(".new").write_text("of a crash")
    save(tmp_path, LOGIN)
    assert stat.S_IMODE((tmp_path / FILE).stat().st_mode) == 0o600


def test_a_link_that_somebody_left_is_not_followed(tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_text("untouched")
    (tmp_path / FILE).with_suffix(".new").symlink_to(elsewhere)
    save(tmp_path, LOGIN)
    assert elsewhere.read_text() == "untouched"


@pytest.mark.parametrize("content", [b"", b"SECRET", b'{"access_token": "SECRET"}', b"\xff\xfe"])
def test_a_damaged_file_is_told_and_not_shown(tmp_path, content):
    (tmp_path / FILE).write_bytes(content)
    with pytest.raises(ValueError, match="does not hold a login") as caught:
        load(tmp_path)
    assert "SECRET" not in str(caught.value)


def test_it_does_not_print_its_token():
    assert "SECRET" not in repr(LOGIN)
