"""The ``path`` option: a template that names files, and that no symbol can lead out of its root directory."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from hashlib import blake2b
from typing import Literal

PLACEHOLDERS = ("date", "exchange", "symbol")
CONTROL = "_control"
"""Stands for exchange and symbol in the name of the file of control records. No value begins with ``_``."""
UNKNOWN = "_unknown"
"""Stands for the exchange of an instrument that no dump has named."""

_MOST = 64
"""Longest value of a placeholder, so that three of them and some text fit the 255 bytes of a file name."""
_DATE_LENGTH = 10
_NAME_LENGTH = 255
_EXTRA_LENGTH = len(".control.9999999")
_PLACEHOLDER = re.compile(r"\{([^{}]*)\}")
_UNSAFE = re.compile(rb"[^A-Za-z0-9_&+=@,() -]")
_UNSAFE_EXCHANGE = re.compile(rb"[^A-Za-z0-9]")
_UNSAFE_EDGE = re.compile(rb"\A[_ ]| \Z")
_VALUE = r"[A-Za-z0-9_&+=@,()% ~-]{1,64}"
_DATE = r"\d{4}-\d\d-\d\d"
_SEPARATOR = re.compile(r"[^A-Za-z0-9%]")

Format = Literal["jsonl", "csv"]
_FORMATS: dict[str, Format] = {".jsonl": "jsonl", ".ndjson": "jsonl", ".json": "jsonl", ".csv": "csv"}


def _percent(match: re.Match[bytes]) -> bytes:
    return b"%%%02X" % match[0][0]


def _safe(value: str, unsafe: re.Pattern[bytes]) -> str:
    raw = value.encode("utf-8", "surrogatepass")
    text = _UNSAFE_EDGE.sub(_percent, unsafe.sub(_percent, raw)).decode()
    if len(text) > _MOST:
        digest = blake2b(raw, digest_size=8).hexdigest()
        text = f"{text[: _MOST - 17]}~{digest}"
    return text or "_"


@lru_cache(maxsize=16_384)
def safe_symbol(value: str) -> str:
    """A value as a part of a file name; different values stay different.

    Letters, digits, inner spaces and ``_&+=@,()-`` stay; everything else, dots and separators among it, is
    percent-encoded; what is then too long is cut and ends in ``~`` and a hash.
    """
    return _safe(value, _UNSAFE)


@lru_cache(maxsize=256)
def safe_exchange(value: str) -> str:
    """As `safe_symbol`, but only letters and digits stay: ``{exchange}-{symbol}`` is never ambiguous."""
    return _safe(value, _UNSAFE_EXCHANGE)


@dataclass(frozen=True)
class Template:
    """A compiled path: ``root`` directory, then ``stem``, a number when rotated by size, and ``ext``.

    Always has a ``{date}``: one that is not written stands at the end of the stem.
    """

    root: str
    stem: str
    ext: str
    """With its dot, and with the suffix of the compression."""

    @property
    def by_instrument(self) -> bool:
        """Whether ticks of one day go to more than one file."""
        return "{exchange}" in self.stem or "{symbol}" in self.stem

    def name(self, day: str, symbol: str | None, token: int) -> str:
        """The stem of a tick's file. ``{symbol}`` is the part after the exchange if the path has both."""
        if symbol is None:
            return self._fill(day, UNKNOWN, f"_{token}")
        exchange, colon, rest = symbol.partition(":")
        if not colon:
            return self._fill(day, UNKNOWN, safe_symbol(symbol))
        last = rest if "{exchange}" in self.stem else symbol
        return self._fill(day, safe_exchange(exchange), safe_symbol(last))

    def shared_name(self, day: str) -> str:
        """The stem of the file of all ticks, or of all control records, of a day."""
        return self._fill(day, CONTROL, CONTROL)

    def _fill(self, day: str, exchange: str, symbol: str) -> str:
        # values hold no braces, so the order does not matter
        return self.stem.replace("{date}", day).replace("{exchange}", exchange).replace("{symbol}", symbol)

    def path(self, name: str, number: int) -> str:
        """A file's path below the root, from a stem as `name` or `shared_name` gives it and its number."""
        return f"{name}.{number}{self.ext}" if number else f"{name}{self.ext}"

    def control(self) -> "Template":
        """The template of the control records' file, which is always JSON lines."""
        suffix = next((s for s in (".gz", ".zst") if self.ext.endswith(s)), "")
        stem = self.stem if self.by_instrument else f"{self.stem}.control"
        return replace(self, stem=stem, ext=f".jsonl{suffix}")

    def pattern(self) -> re.Pattern[str]:
        """Matches the paths (below the root) of all files that this template ever names, compressed or not.

        Groups: ``date``, and ``number`` which may be None.
        """
        parts: list[str] = []
        for literal, placeholder in _pieces(self.stem):
            parts.append(re.escape(literal))
            if placeholder == "date":
                parts.append(f"(?P<date>{_DATE})" if not any("<date>" in part for part in parts) else _DATE)
            elif placeholder is not None:
                parts.append(_VALUE)
        ext = re.escape(self.ext.removesuffix(".gz").removesuffix(".zst"))
        return re.compile(rf"{''.join(parts)}(?:\.(?P<number>\d+))?{ext}(?:\.gz|\.zst)?")


def _pieces(text: str) -> Iterator[tuple[str, str | None]]:
    """(literal text, the placeholder after it) pairs; the last has None."""
    start = 0
    for match in _PLACEHOLDER.finditer(text):
        yield text[start : match.start()], match[1]
        start = match.end()
    yield text[start:], None


def _uncompressed(path: str) -> str:
    return path.removesuffix(".gz").removesuffix(".zst")


def format_of(path: str) -> Format | None:
    """The format that a path's extension means, or None."""
    return next((fmt for ext, fmt in _FORMATS.items() if _uncompressed(path).endswith(ext)), None)


def parse(path: str, suffix: str = "") -> Template:
    """Compile a path; ``suffix`` is that of the compression, added unless it is there.

    Raises:
        ValueError: what is wrong with it; the text never repeats the path.
    """
    _check(path)
    path = _uncompressed(path)
    first = path.find("{")
    cut = path.rfind("/", 0, None if first < 0 else first) + 1
    root, body = path[:cut] or ".", path[cut:]
    if any(part in {"", ".", ".."} for part in body.split("/")):
        raise ValueError("a part of the path after the first placeholder is empty, '.' or '..'")
    folder, slash, name = body.rpartition("/")
    # a dot inside a placeholder was refused above, one at the start makes a hidden file and no extension
    base, dot, ext = name.rpartition(".") if "." in name[1:].rpartition("}")[2] else (name, "", "")
    stem = folder + slash + base
    if "{date}" not in body:
        stem += ".{date}"
    template = Template(root, stem, dot + ext + suffix)
    _check_lengths(template)
    return template


def _check(path: str) -> None:
    if not path or path.endswith("/"):
        raise ValueError("the path must name a file, such as 'ticks/{date}/{exchange}.jsonl'")
    if re.search(r"[\x00-\x1f\x7f]", path):
        raise ValueError("the path has a control character in it")
    if any(name is not None and name not in PLACEHOLDERS for _, name in _pieces(path)):
        raise ValueError("unknown placeholder; there are {date}, {exchange} and {symbol}")
    if re.search(r"[{}]", _PLACEHOLDER.sub("", path)):
        raise ValueError("a brace without its partner; placeholders are {date}, {exchange} and {symbol}")
    for between in re.findall(r"\{(?:exchange|symbol)\}([^{}]*)(?=\{(?:exchange|symbol)\})", path):
        if not _SEPARATOR.search(between):
            raise ValueError("two placeholders need something between them, such as '-' or '/'")


def _check_lengths(template: Template) -> None:
    for part in (template.stem + template.ext).split("/"):
        lengths = {None: 0, "date": _DATE_LENGTH}
        length = sum(len(literal.encode()) + lengths.get(name, _MOST) for literal, name in _pieces(part))
        if length + _EXTRA_LENGTH > _NAME_LENGTH:
            raise ValueError("a part of the path can become longer than the 255 bytes a file name may have")
