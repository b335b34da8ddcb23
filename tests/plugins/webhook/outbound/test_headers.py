"""Headers that may be set."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tickerd_plugins.webhook.outbound.headers import trouble


@pytest.mark.parametrize("value", ["", "a", "Bearer abc", 'a, b; c="d"'])
def test_an_ordinary_header_may_be_set(value):
    assert trouble("X-Token", value) is None


@pytest.mark.parametrize(
    "name", ["Host", "content-length", "Transfer-Encoding", "CONNECTION", "Accept-Encoding", "TE"]
)
def test_what_frames_the_message_is_ours(name):
    assert "set by tickerd" in trouble(name, "x")


@pytest.mark.parametrize("name", ["", "a b", "a:b", "a\r\nb", "é", "a\0"])
def test_what_is_no_name_is_refused(name):
    assert "not the name of a header" in trouble(name, "x")


@pytest.mark.parametrize("value", ["a\r\nb: c", "a\nb", "a\0", "é", " a", "a ", "\t", "a\x7f"])
def test_a_value_cannot_begin_another_header_and_is_not_repeated(value):
    said = trouble("x-a", value)
    assert "control characters" in said
    assert repr(value)[1:-1] not in said or value.strip() == "a"


@given(st.text(max_size=20), st.text(max_size=20))
def test_what_passes_is_one_line(name, value):
    if trouble(name, value) is None:
        line = f"{name}: {value}\r\n".encode("ascii")
        assert line.count(b"\n") == line.count(b"\r") == 1
        assert b"\0" not in line
