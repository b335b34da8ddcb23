"""A mistake in the configuration: where it is, what is wrong, what may help, and how that is shown."""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

EXIT_CODE = 78
"""What a process exits with when its configuration is wrong (EX_CONFIG of sysexits.h)."""

Path = tuple[str | int, ...]
"""Keys and list indexes that lead from the top of the configuration to a value."""

_PLAIN_KEY = re.compile(r"[\w-]{1,64}")
_LONGEST_KEY = 64


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing to mend. Texts are made from types and places; they never hold a value from the file.

    Attributes:
        file: as it was named on the command line, or below its ``conf.d``.
        line: counts from 1; 0 when the problem is the file as a whole.
        column: counts characters from 1.
        path: dotted, for example ``sources.kite.subscribe[0].mode``; empty for YAML that cannot be read.
        message: what is wrong.
        hint: what may help, for example ``did you mean 'mode'?``.
        source: that line of the file, with every value that may be secret masked.
        caret: where in ``source`` the problem is, counted from 0.
    """

    file: str
    line: int
    column: int
    path: str
    message: str
    hint: str = ""
    source: str = ""
    caret: int = 0

    def __str__(self) -> str:
        return self.text()

    @property
    def where(self) -> str:
        """``file:line:column``, as editors understand it."""
        return f"{self.file}:{self.line}:{self.column}" if self.line else self.file

    def text(self, kind: str = "") -> str:
        """For people: one line, then the source line and a caret; ``kind`` is a word such as ``warning``."""
        parts = [self.where, kind, self.path, self.message]
        head = ": ".join(part for part in parts if part) + (f" ({self.hint})" if self.hint else "")
        if not self.source.strip():
            return head
        margin = "".join("\t" if char == "\t" else " " for char in self.source[: self.caret])
        return f"{head}\n    {self.source}\n    {margin}^"

    def data(self) -> dict[str, Any]:
        """For programs: the same as `text`."""
        return {
            "file": self.file,
            "line": self.line,
            "column": self.column,
            "path": self.path,
            "message": self.message,
            "hint": self.hint,
            "source": self.source,
            "caret": self.caret,
        }


class ConfigError(Exception):
    """The configuration cannot be used. Holds every problem that was found, in order of place."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("\n".join(problem.text() for problem in problems))
        self.problems = tuple(problems)


class PluginProblem(Exception):
    """A plugin that the YAML names cannot be used.

    Args:
        text: what is wrong with it: missing, fails to import, made for another API version.
        suggestions: names that may have been meant.
    """

    def __init__(self, text: str, suggestions: Collection[str] = ()) -> None:
        super().__init__(text)
        self.text = text
        self.suggestions = tuple(suggestions)


def dotted(path: Path) -> str:
    """The path as people write it: ``sources.kite.subscribe[0]``."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            text += ("." if text else "") + (part if _PLAIN_KEY.fullmatch(part) else repr(_clipped(part)))
    return text


def _clipped(key: str) -> str:
    return key if len(key) <= _LONGEST_KEY else key[:_LONGEST_KEY] + "…"


def did_you_mean(suggestions: Collection[str]) -> str:
    """The hint that names what may have been meant; empty when there is nothing to name."""
    return f"did you mean {' or '.join(repr(one) for one in suggestions)}?" if suggestions else ""


def closest(written: object, names: Collection[str]) -> str:
    """The hint that names the one name most like what was written."""
    if not isinstance(written, str) or len(written) > _LONGEST_KEY:
        return ""
    lower = {name.lower(): name for name in names}
    return did_you_mean([lower[match] for match in get_close_matches(written.lower(), lower, n=1)])
