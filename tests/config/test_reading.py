"""Tests of `tickerd.config.reading`."""

from pathlib import Path

import pytest

from tickerd.config.reading import Unreadable, read_bytes, read_text


def test_text_is_read_completely(write):
    assert read_text(write("\ufeffä\n"), 100) == "ä\n"


def test_no_more_than_the_limit_is_read_of_an_endless_file():
    with pytest.raises(Unreadable, match=r"^is larger than 64 KiB$"):
        read_bytes(Path("/dev/zero"), 64 << 10)


def test_a_limit_is_told_in_round_units(write):
    with pytest.raises(Unreadable, match=r"^is larger than 1 MiB$"):
        read_bytes(write(b"x" * ((1 << 20) + 1)), 1 << 20)


def test_other_failures_are_told_in_the_words_of_the_system(write):
    with pytest.raises(Unreadable, match=r"^cannot be read: not a directory$"):
        read_bytes(write("") / "x", 1)
    with pytest.raises(Unreadable, match=r"^cannot be read: not a valid path$"):
        read_bytes(Path("a\0b"), 1)
