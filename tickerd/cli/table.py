"""Columns for people, as wide as what is in them; whatever others wrote moves no cursor and breaks no line."""

from collections.abc import Iterable, Iterator, Sequence

import click

from tickerd.observe.clean import escape


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> Iterator[str]:
    """Lines: the head, then one for each row."""
    cells = [head, *(list(map(cell, row)) for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for number, row in enumerate(cells):
        line = "  ".join(map(str.ljust, row, widths)).rstrip()
        yield line if number else click.style(line, bold=True)


def cell(value: object) -> str:
    """A value on one line; a dash where there is none."""
    return "-" if value in (None, "") else escape(str(value))
