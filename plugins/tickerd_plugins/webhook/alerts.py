"""Alerts: which conditions a tick sets off, remembered by instrument from tick to tick, and over restarts."""

from collections.abc import Sequence
from typing import Any

import msgspec

from tickerd.plugin import Tick
from tickerd_plugins.webhook.when import Condition, Watch, values

MOST = 20_000
"""Instruments that one condition remembers; beyond it those that came first are forgotten."""

_UNFIT = frozenset(("out_of_order", "suspicious"))
_Kept = dict[str, dict[str, tuple[bool, dict[int, int]]]]
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_Kept, strict=False).decode


class Alerts:
    """The conditions of one endpoint."""

    def __init__(self, conditions: Sequence[Condition]) -> None:
        self._conditions = conditions
        self._watches: dict[str, dict[str, Watch]] = {str(one): {} for one in conditions}

    def __bool__(self) -> bool:
        return bool(self._conditions)

    def fired(self, tick: Tick) -> list[Condition]:
        """Those that this tick sets off. One that is out of order or suspicious is not looked at."""
        row = tick.row
        if not _UNFIT.isdisjoint(row.flags):
            return []
        name = tick.symbol or str(tick.instrument_token)
        now = values(row)
        return [one for one in self._conditions if self._watch(one, name).fires(one, now)]

    def _watch(self, condition: Condition, name: str) -> Watch:
        watches = self._watches[str(condition)]
        found = watches.setdefault(name, Watch())
        if len(watches) > MOST:
            del watches[next(iter(watches))]
        return found

    def kept(self) -> bytes:
        """What is remembered."""
        return _encode(
            {
                text: {name: (watch.holds, watch.sides) for name, watch in watches.items()}
                for text, watches in self._watches.items()
            }
        )

    def restore(self, kept: bytes) -> None:
        """Go on where it was; conditions that are new begin anew.

        Raises:
            ValueError: these are not bytes of `kept`.
        """
        try:
            found = _decode(kept)
        except (msgspec.MsgspecError, UnicodeError, RecursionError):
            raise ValueError("these are not the bytes that alerts keep") from None
        for text, watches in self._watches.items():
            for name, (holds, sides) in found.get(text, {}).items():
                watches[name] = Watch(holds, sides)


def alert(tick: Tick, fired: Sequence[Condition]) -> dict[str, Any]:
    """What an ``alert.fired`` says."""
    return {
        "symbol": tick.symbol,
        "instrument_token": tick.instrument_token,
        "fired": [one.text for one in fired],
        "tick": msgspec.Raw(tick.json),
    }
