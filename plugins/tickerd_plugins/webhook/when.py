"""Conditions on ticks: ``FIELD OP NUMBER [and …]``, parsed once and judged with exact decimals. Pure."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from operator import eq, ge, gt, le, lt, ne
from typing import NamedTuple

from tickerd.plugin import Row

FIELDS = (
    "last_price", "last_traded_quantity", "average_traded_price", "volume_traded", "total_buy_quantity",
    "total_sell_quantity", "open", "high", "low", "close", "change", "oi", "oi_day_high", "oi_day_low",
)  # fmt: skip
"""What can be compared; open to close are those of the day."""
CROSSES = "crosses"
_COMPARE: Mapping[str, Callable[[Decimal, Decimal], bool]] = {
    ">": gt, ">=": ge, "<": lt, "<=": le, "==": eq, "!=": ne,
}  # fmt: skip
OPERATORS = (*_COMPARE, CROSSES)
MOST_TERMS = 10

_TOKEN = re.compile(
    r"\s*(?:(?P<word>[A-Za-z_]\w*)|(?P<number>[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?![\w.]))|(?P<op>[<>=!]+))"
)
_OHLC = frozenset(("open", "high", "low", "close"))

Values = Mapping[str, Decimal | None]


class BadCondition(ValueError):
    """Not a condition; the text says at which character, and holds nothing that was written there."""

    def __init__(self, at: int, why: str) -> None:
        super().__init__(f"{why}, at character {at + 1}")
        self.at = at


class Term(NamedTuple):
    """One comparison."""

    field: str
    op: str
    number: Decimal


@dataclass(frozen=True)
class Condition:
    """Terms that must all hold."""

    text: str
    terms: tuple[Term, ...]

    def __str__(self) -> str:
        return " and ".join(f"{one.field} {one.op} {one.number:f}" for one in self.terms)


class _Token(NamedTuple):
    kind: str
    text: str
    at: int


def parse(text: str) -> Condition:
    """Read a condition.

    Raises:
        BadCondition: it is none.
    """
    tokens = _tokens(text)
    terms: list[Term] = []
    while True:
        terms.append(_term(tokens))
        if len(terms) > MOST_TERMS:
            raise BadCondition(tokens[0].at, f"more than {MOST_TERMS} comparisons")
        joint = tokens.pop(0)
        if joint.kind == "end":
            return Condition(text, tuple(terms))
        if joint.text.lower() != "and":
            raise BadCondition(joint.at, "expected 'and' or the end")


def _term(tokens: list[_Token]) -> Term:
    name, op, number = tokens.pop(0), tokens[0], None
    if name.text not in FIELDS:
        raise BadCondition(name.at, f"expected one of {', '.join(FIELDS)}")
    if op.text not in OPERATORS:
        raise BadCondition(op.at, f"expected one of {' '.join(OPERATORS)}")
    tokens.pop(0)
    number = tokens[0]
    if number.kind != "number":
        raise BadCondition(number.at, "expected a number such as 1500.05")
    tokens.pop(0)
    return Term(name.text, op.text, Decimal(number.text))


def _tokens(text: str) -> list[_Token]:
    found: list[_Token] = []
    at, end = 0, len(text.rstrip())
    while at < end:
        match = _TOKEN.match(text, at)
        if match is None:
            at += len(text[at:]) - len(text[at:].lstrip())
            found.append(_Token("wrong", text[at : at + 1], at))
            break
        kind = str(match.lastgroup)
        found.append(_Token(kind, match[kind], match.start(kind)))
        at = match.end()
    # enough of them that a look behind the end finds it again
    return [*found, *[_Token("end", "", end)] * 4]


def values(row: Row) -> Values:
    """The fields of a tick as exact decimals; None is unknown."""
    return {name: _decimal(_field(row, name)) for name in FIELDS}


def _field(row: Row, name: str) -> float | int | None:
    holder = row.ohlc if name in _OHLC else row
    found: float | int | None = getattr(holder, name, None)
    return found


def _decimal(value: float | None) -> Decimal | None:
    """A column's shortest decimal is exactly what the broker sent; its binary fraction is not."""
    return None if value is None else Decimal(str(value))


@dataclass
class Watch:
    """What one condition remembers of one instrument.

    It fires when all terms hold and did not with the tick before. ``crosses`` holds for the one tick with which the
    field has gone from one side of the number to the other; being equal to it is neither side.
    """

    holds: bool = False
    sides: dict[int, int] = field(default_factory=dict)
    """Index of a ``crosses`` term → the side on which the field was last: -1 or 1."""

    def fires(self, condition: Condition, now: Values) -> bool:
        """Judge the next tick. A field that it does not know leaves what is remembered as it is."""
        verdicts = [self._holds(index, term, now[term.field]) for index, term in enumerate(condition.terms)]
        if None in verdicts:
            return False
        before, self.holds = self.holds, all(verdicts)
        momentary = any(term.op == CROSSES for term in condition.terms)
        return self.holds and (momentary or not before)

    def _holds(self, index: int, term: Term, value: Decimal | None) -> bool | None:
        if value is None:
            return None
        if term.op != CROSSES:
            return _COMPARE[term.op](value, term.number)
        side = (value > term.number) - (value < term.number)
        before = self.sides.get(index, 0)
        if side:
            self.sides[index] = side
        return side != 0 and before not in (0, side)
