"""What a source is: the contract of plugins that bring ticks in."""

from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Iterable, Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal, Protocol

import trio
from structlog.typing import FilteringBoundLogger

from tickerd.plugin.batch import Batch
from tickerd.plugin.clock import Clock
from tickerd.plugin.instrument import Instrument
from tickerd.plugin.listing import Listing
from tickerd.plugin.options import Options

Mode = Literal["ltp", "quote", "full"]
MODES: tuple[Mode, ...] = ("ltp", "quote", "full")
"""Least to most; a higher mode contains the lower ones."""

Replace = Literal["beside", "after"]
"""How a restart swaps a unit: the new beside the old, or only after the old has stopped."""


class Demand(Protocol):
    """What this source should be sending: the union of what YAML, the API and clients want."""

    def wanted(self) -> Mapping[Instrument, Mode]:
        """Everything wanted now. Symbols that no dump has named yet are not in it."""
        ...

    def changes(self) -> AsyncGenerator[Mapping[Instrument, Mode | None], None]:
        """What changed since the last item, None meaning no longer wanted.

        The first item is everything wanted at that time (empty when nothing is). Several changes between two
        reads arrive as one item. Ends never; cancel it.
        """
        ...


class Instruments(Protocol):
    """The core's instrument table, as far as a source needs it."""

    def load(self, instruments: Iterable[Instrument] | Listing) -> None:
        """Replace this source's namespace of the table; what is wanted is resolved against it at once.

        As a `Listing` a table takes a tenth of the memory; ticks then carry the names of instruments that were
        in the source's demand.
        """
        ...

    def get(self, token: int) -> Instrument | None:
        """The instrument of that token in this source's namespace."""
        ...

    def __len__(self) -> int:
        """Instruments in this source's namespace."""
        ...


class UnitContext(Protocol):
    """What every unit is given. After the unit has stopped each call raises `tickerd.plugin.errors.Closed`."""

    @property
    def name(self) -> str:
        """As written in the YAML."""
        ...

    @property
    def log(self) -> FilteringBoundLogger:
        """Carries the unit's name; log constant phrases with fields."""
        ...

    @property
    def clock(self) -> Clock:
        """The daemon's clock."""
        ...

    @property
    def state_dir(self) -> Path:
        """A directory of the unit's own that outlives restarts; made at the first use of this attribute."""
        ...

    def count(self, reason: str, n: int = 1) -> None:
        """Add to one of the unit's counters, shown in status and metrics; ``reason`` is a short constant."""
        ...

    def hide(self, secret: str) -> None:
        """Never let this text show in a log: for a secret that is not in the YAML, such as a token from a file."""
        ...

    def report(self, state: str, detail: str = "", **facts: Any) -> None:
        """Say in a word, and a sentence, what the unit is doing; replaces what was reported before."""
        ...


class SourceContext(UnitContext, Protocol):
    """What a running source works with."""

    @property
    def demand(self) -> Demand:
        """What this source should be sending."""
        ...

    @property
    def instruments(self) -> Instruments:
        """The instruments of this source's namespace."""
        ...

    def publish(self, batch: Batch) -> None:
        """Hand a batch to the hub. Never waits. The batch belongs to the hub from then on."""
        ...


class Source(ABC):
    """Brings ticks in. One class per plugin, returned by its ``tickerd_sources`` hook.

    The life of a source:

    1. ``__init__(options)`` when the configuration is applied; it must not wait or do I/O.
    2. ``run(ctx, task_status=…)`` in a task of its own. It calls ``task_status.started()`` as soon as it
       runs, within the start deadline (10 s); a login that is missing is a state to report, not a failure.
    3. It runs until it is cancelled. What it raises is a failure: ``OSError``, ``trio.BrokenResourceError``,
       ``trio.TooSlowError`` and `Retry` may pass and are retried for ever with back-off; anything else is a
       bug and the unit fails after a few tries.
    4. It closes what it opened, whatever step was reached, within the stop deadline (5 s).
    """

    Options: ClassVar[type[Options]]
    namespace: ClassVar[str | None] = None
    """Shared by all sources of one broker; None gives each unit a namespace of its own."""
    replace: ClassVar[Replace] = "after"
    capacity: ClassVar[int | None] = None
    """Most instruments it can carry; None is no limit."""

    @abstractmethod
    def __init__(self, options: Any) -> None: ...

    @classmethod
    def capacity_of(cls, options: Any) -> int | None:
        """Most instruments that it can carry with these options; `capacity` where they make no difference."""
        del options
        return cls.capacity

    @abstractmethod
    async def run(self, ctx: SourceContext, *, task_status: trio.TaskStatus[None]) -> None:
        """Publish until cancelled."""

    async def apply(self, options: Any) -> bool:
        """A reload changed options of the class ``live`` only: go by these from now on.

        Returns:
            False, the default: that cannot be done while running; the unit is restarted instead.
        """
        del options
        await trio.lowlevel.checkpoint()
        return False
