"""Which instruments are meant: the ways to write them down, as option types that plugins share with the core."""

import re
from collections.abc import Iterable
from datetime import date, datetime
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    Discriminator,
    Field,
    GetJsonSchemaHandler,
    PlainSerializer,
    SerializerFunctionWrapHandler,
    Tag,
    WithJsonSchema,
    model_serializer,
    model_validator,
)
from pydantic_core import CoreSchema, PydanticCustomError

from tickerd.plugin.options import Options, option

SYMBOL = r"[A-Z][A-Z0-9_-]*:\S(?:.*\S)?"
"""``EXCHANGE:TRADINGSYMBOL``; the second part may hold spaces."""
MAX_TOKEN = 2**32 - 1
MOST_WILDCARDS = 4
"""In one pattern: what it costs to try one grows with each."""
_LONGEST_SYMBOL = 128
_PATTERN = r"[A-Z*?][A-Z0-9_*?-]*:\S(?:.*\S)?"

_SYMBOL_FORM = re.compile(SYMBOL)
_PATTERN_FORM = re.compile(_PATTERN)
_TOKEN_FORM = re.compile(r"[0-9]{1,10}")
_DATE_FORM = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


def is_pattern(text: str) -> bool:
    """Whether it has wildcards: ``*`` is any text, ``?`` any one character. No symbol has them."""
    return "*" in text or "?" in text


def _plain(value: Any) -> str | int:
    """A symbol, a pattern or a token."""
    if isinstance(value, str) and _TOKEN_FORM.fullmatch(value):
        value = int(value)
    if isinstance(value, int) and not isinstance(value, bool) and 0 < value <= MAX_TOKEN:
        return value
    if isinstance(value, str) and len(value) <= _LONGEST_SYMBOL:
        if is_pattern(value):
            return _pattern(value)
        if _SYMBOL_FORM.fullmatch(value):
            return value
    text = "expected an instrument: EXCHANGE:SYMBOL such as 'NSE:INFY', or its number"
    raise PydanticCustomError("instrument", text)


def _pattern(value: str) -> str:
    if not _PATTERN_FORM.fullmatch(value):
        raise PydanticCustomError("pattern", "expected a pattern such as 'NSE:NIFTY*'")
    if value.count("*") + value.count("?") > MOST_WILDCARDS:
        raise PydanticCustomError("pattern", f"a pattern has at most {MOST_WILDCARDS} of '*' and '?'")
    return value


def _several(value: Any) -> Any:
    """One that stands alone is a list of one."""
    return [value] if isinstance(value, str) else value


def _distinct(value: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(dict.fromkeys(value))


Words = Annotated[
    tuple[Annotated[str, Field(min_length=1, max_length=_LONGEST_SYMBOL)], ...],
    BeforeValidator(_several),
    AfterValidator(_distinct),
    WithJsonSchema(
        {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}, "minItems": 1}]}
    ),
]
"""One text or several."""


def _day(value: Any) -> str:
    """An ISO date as text; YAML makes dates of them by itself."""
    if isinstance(value, date) and not isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, str) and _DATE_FORM.fullmatch(value):
        try:
            return date.fromisoformat(value).isoformat()
        except ValueError:
            pass
    raise PydanticCustomError("date", "expected a date such as '2026-11-24'")


Day = Annotated[
    str,
    BeforeValidator(_day),
    WithJsonSchema({"type": "string", "pattern": f"^{_DATE_FORM.pattern}$", "examples": ["2026-11-24"]}),
]
"""A date as ``YYYY-MM-DD``."""


class _AsWritten(Options):
    """Dumps as one would write it: only what was said, in the shortest way."""

    @model_serializer(mode="wrap", when_used="json")
    def _written(self, handler: SerializerFunctionWrapHandler) -> Any:
        plain = handler(self)
        fields = type(self).model_fields
        said = {n: f.alias or n for n, f in fields.items() if getattr(self, n) not in (None, ())}
        return self._short_form({alias: plain.get(alias, plain.get(name)) for name, alias in said.items()})

    def _short_form(self, said: dict[str, Any]) -> Any:
        if said.keys() == {"from", "to"} and said["from"] == said["to"]:
            return said["from"]
        return said["pick"] if said.keys() == {"pick"} else said


class Expiry(_AsWritten):
    """Which expiries, for each underlying by itself."""

    pick: Literal["nearest", "next"] | None = option(
        None, doc="`nearest` is the first that has not passed, `next` the one after it.", reload="live"
    )
    first: Day | None = option(None, doc="The earliest.", reload="live", alias="from")
    last: Day | None = option(None, doc="The latest.", reload="live", alias="to")

    @model_validator(mode="before")
    @classmethod
    def _short(cls, value: Any) -> Any:
        if value in ("nearest", "next"):
            return {"pick": value}
        if isinstance(value, str | date):
            day = _day(value)
            return {"from": day, "to": day}
        return value

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if self.pick is None and self.first is None and self.last is None:
            raise PydanticCustomError("expiry", "expected 'nearest', 'next', a date, or 'from' and 'to'")
        if self.first is not None and self.last is not None and self.last < self.first:
            raise PydanticCustomError("order", "'to' is before 'from'")
        return self

    @classmethod
    def __get_pydantic_json_schema__(
        cls, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        made = handler.resolve_ref_schema(handler(schema))
        return {"anyOf": [{"enum": ["nearest", "next"]}, _DAY_SCHEMA, made]}


_DAY_SCHEMA = {"type": "string", "pattern": f"^{_DATE_FORM.pattern}$"}


class Strike(_AsWritten):
    """Which strikes: a range, or so many round the underlying's price."""

    around: Literal["money"] | None = option(
        None, doc="`money`: those nearest to the underlying's price; followed as it moves.", reload="live"
    )
    count: int | None = option(
        None, doc="With `around`: how many strikes of each expiry.", reload="live", ge=1, le=1000
    )
    underlying: Annotated[str, BeforeValidator(_plain)] | None = option(
        None,
        doc="With `around`: whose price it is, as `EXCHANGE:SYMBOL`. Default: found by the name.",
        reload="live",
    )
    lowest: float | None = option(None, doc="The lowest.", reload="live", alias="from", ge=0)
    highest: float | None = option(None, doc="The highest.", reload="live", alias="to", ge=0)

    @model_validator(mode="before")
    @classmethod
    def _short(cls, value: Any) -> Any:
        if isinstance(value, int | float) and not isinstance(value, bool):
            return {"from": value, "to": value}
        return value

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        window = self.around is not None
        if window is not (self.count is not None):
            raise PydanticCustomError("strike", "'around: money' and 'count' go together")
        if not window and self.underlying is not None:
            raise PydanticCustomError("strike", "'underlying' goes with 'around: money'")
        if not window and self.lowest is None and self.highest is None:
            raise PydanticCustomError("strike", "expected a strike, 'from' and 'to', or 'around' and 'count'")
        if self.lowest is not None and self.highest is not None and self.highest < self.lowest:
            raise PydanticCustomError("order", "'to' is below 'from'")
        return self

    @classmethod
    def __get_pydantic_json_schema__(
        cls, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        made = handler.resolve_ref_schema(handler(schema))
        return {"anyOf": [{"type": "number"}, made]}


class Match(_AsWritten):
    """Instruments by what the broker's dump says of them: all that is given must hold."""

    exchange: Words = option((), doc="Exchange, such as `NFO`; one or several.", reload="live")
    segment: Words = option((), doc="Segment, such as `NFO-OPT`.", reload="live")
    name: Words = option((), doc="Name of the company or underlying, such as `NIFTY`.", reload="live")
    instrument_type: Words = option((), doc="`EQ`, `FUT`, `CE` or `PE`.", reload="live")
    strike: Strike | None = option(None, doc="Strikes of options.", reload="live")
    expiry: Expiry | None = option(None, doc="Expiries of derivatives.", reload="live")

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if not any(getattr(self, name) for name in type(self).model_fields):
            raise PydanticCustomError("match", f"needs at least one of {', '.join(type(self).model_fields)}")
        return self

    @property
    def follows_price(self) -> bool:
        """Whether it means others when an underlying moves."""
        return self.strike is not None and self.strike.around is not None

    @property
    def follows_day(self) -> bool:
        """Whether it means others on another day, from the same dump."""
        return self.expiry is not None and self.expiry.pick is not None

    def __str__(self) -> str:
        """Short, as it is shown in status and errors: ``{exchange: NFO, name: NIFTY}``."""
        return _flow(self.model_dump(mode="json"))


def _flow(value: Any) -> str:
    """As YAML in one line."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_flow(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, list):
        return _flow(value[0]) if len(value) == 1 else "[" + ", ".join(map(_flow, value)) + "]"
    return f"{value:g}" if isinstance(value, float) else str(value)


class MatchItem(BaseModel):
    """How a match stands in a list of instruments: ``{match: {…}}``."""

    model_config = Options.model_config
    match: Match


def _item(value: Any) -> str:
    return "selector" if isinstance(value, dict | Match | MatchItem) else "plain"


def _wrapped(value: Any) -> Any:
    return {"match": value} if isinstance(value, Match) else value


_PLAIN_SCHEMA = {
    "anyOf": [
        {"type": "string", "pattern": f"^({SYMBOL}|{_PATTERN})$", "examples": ["NSE:INFY", "NSE:NIFTY*"]},
        {"type": "integer", "minimum": 1, "maximum": MAX_TOKEN},
    ]
}

Key = str | int | Match
"""What an `InstrumentKey` is after validation."""

if TYPE_CHECKING:
    InstrumentKey = Key
else:
    InstrumentKey = Annotated[
        Annotated[str | int, BeforeValidator(_plain), WithJsonSchema(_PLAIN_SCHEMA), Tag("plain")]
        | Annotated[
            MatchItem, BeforeValidator(_wrapped), AfterValidator(lambda item: item.match), Tag("selector")
        ],
        Discriminator(_item),
        PlainSerializer(
            lambda key: {"match": key.model_dump(mode="json")} if isinstance(key, Match) else key,
            when_used="json",
        ),
    ]
    """One way to mean instruments: ``EXCHANGE:TRADINGSYMBOL``, a pattern with ``*`` and ``?``, a token, a match."""

InstrumentKeys = Annotated[tuple[InstrumentKey, ...], AfterValidator(_distinct)]
"""Several, each once."""


def parse_key(value: Any) -> Key:
    """One key from plain values, as they come out of JSON.

    Raises:
        ValueError: it is none; the text says what was expected.
    """
    if isinstance(value, dict):
        return MatchItem.model_validate(value).match
    return _plain(value)


def shown(key: Key) -> str:
    """A key as a person would write it."""
    return str(key)


def parse_keys(values: Iterable[Any]) -> tuple[Key, ...]:
    """Several, each once; see `parse_key`."""
    return tuple(dict.fromkeys(map(parse_key, values)))
