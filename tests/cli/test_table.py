"""Columns for people."""

import click

from tickerd.cli.table import cell, table


def test_columns_are_as_wide_as_what_is_in_them() -> None:
    lines = list(table(("a", "name"), [(1, "x"), (100, None)]))
    assert [click.unstyle(line) for line in lines] == ["a    name", "1    x", "100  -"]


def test_what_others_wrote_breaks_no_line_and_moves_no_cursor() -> None:
    assert not {"\n", "\x1b", "\x9b"} & set(cell("a\nb\x1b[2J\x9b"))
