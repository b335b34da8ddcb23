"""What somebody who registers a webhook may have sent to it, and what he is told when he may not. Pure."""

from collections.abc import Iterable, Mapping
from typing import Any

from tickerd.config import ConfigError
from tickerd.config.problem import Problem
from tickerd.control.steering import NewWebhook, Refused
from tickerd.instruments import InstrumentTable
from tickerd.instruments.selectors import is_selector
from tickerd.plugin import Principal
from tickerd.plugin.scopes import TICKS

ADMIN = "admin:config"
"""The scope of those who may be told what this host can reach."""
ALLOWED = ("class", "interval", "max_rows", "ordered", "when")
"""Options that may be set at run time. None of them loosens what may be posted to."""
NARROW_EVENTS = ("gap", "status", "market", "endpoint")
"""What those get by default, and at most, who may see some instruments only: the rest tells of the account."""
_BAD_URL = "url: only https to a public host may be posted to, at port 443 or 8443"
_LONGEST_TOKEN = 10
_LONGEST_NAME = 64


def checked(new: NewWebhook, caller: Principal, table: InstrumentTable) -> Mapping[str, Any]:
    """The options of what shall be registered, for the compiler.

    Raises:
        Refused: invalid or refused; with what is wrong.
    """
    _allowed(new.options)
    made: dict[str, Any] = dict(new.options)
    if new.events:
        made["events"] = list(new.events)
    if new.instruments is not None:
        made["instruments"] = [_key(text) for text in new.instruments]
    if _has_ticks(new) and not caller.may(TICKS):
        raise Refused("refused", f"ticks and alerts need the scope {TICKS!r}")
    if caller.instruments is not None:
        _narrowed(made, new, caller, table)
    return made


def told(error: ConfigError, name: str, caller: Principal) -> str:
    """Every problem in one line. Of an address only administrators hear what is wrong with it."""
    return "; ".join(dict.fromkeys(_line(problem, name, caller) for problem in error.problems))


def _line(problem: Problem, name: str, caller: Principal) -> str:
    option = problem.path.removeprefix(f"sinks.{name}").removeprefix(".")
    if option == "url" or problem.message.startswith("url:"):
        text = problem.message.removeprefix("url:").strip()
        return f"url: {text}" if caller.may(ADMIN) else _BAD_URL
    hint = f" ({problem.hint})" if problem.hint else ""
    return f"{option}: {problem.message}{hint}" if option else f"{problem.message}{hint}"


def _allowed(options: Mapping[str, Any]) -> None:
    for option, value in options.items():
        if option not in ALLOWED:
            text = f"option {option[:_LONGEST_NAME]!r} cannot be set at run time; those that can: {', '.join(ALLOWED)}"
            raise Refused("invalid", text)
        if not _is_plain(value) and not (isinstance(value, list) and all(map(_is_plain, value))):
            raise Refused("invalid", f"option {option!r} is neither a value nor a list of values")


def _is_plain(value: Any) -> bool:
    return value is None or isinstance(value, str | int | float | bool)


def _has_ticks(new: NewWebhook) -> bool:
    return new.options.get("class") == "ticks" or bool(new.options.get("when")) or "tick" in new.events


def _narrowed(made: dict[str, Any], new: NewWebhook, caller: Principal, table: InstrumentTable) -> None:
    if _has_ticks(new) and not new.instruments:
        raise Refused("refused", "your key may see some instruments only: name those that it shall get")
    for text in new.instruments or ():
        if not _may_see(text, caller, table):
            raise Refused("refused", f"your key may not see {text!r}; patterns are not for keys like it")
    if not _has_ticks(new) or new.options.get("class") != "ticks":
        made["events"] = list(_records(new.events))


def _records(events: Iterable[str]) -> Iterable[str]:
    allowed = {*NARROW_EVENTS, "tick"}
    for event in events:
        if event not in allowed:
            raise Refused("refused", f"event {event!r} is for keys that may see all instruments")
    return events or NARROW_EVENTS


def _may_see(text: str, caller: Principal, table: InstrumentTable) -> bool:
    """What no table has named yet is judged by its name."""
    key = _key(text)
    if is_selector(key):
        return False
    for space in table.namespaces():
        found = space.get(key) if isinstance(key, int) else space.find(key)
        if found is not None:
            return caller.may_see(found)
    assert caller.instruments is not None
    return not caller.instruments.isdisjoint((text, text.partition(":")[0]))


def _key(text: str) -> str | int:
    """A token where it is one."""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= _LONGEST_TOKEN else text
