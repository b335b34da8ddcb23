"""A unit that a section of the YAML describes, and how it hands over to its successor."""

from collections.abc import Callable

import trio

from tickerd.plugin import (
    ServingSink,
    Sink,
    Source,
)
from tickerd.runtime.context import Context
from tickerd.runtime.house import House
from tickerd.runtime.plan import UnitSettings
from tickerd.runtime.unit import Attempt, Unit


class ConfiguredUnit(Unit):
    """A unit that a section of the YAML describes, and that hands over to its successor in a reload."""

    def __init__(self, settings: UnitSettings, house: House, changed: Callable[[Unit], None]) -> None:
        super().__init__(settings.name, house.clock, changed)
        self.settings = settings
        self._house = house
        self._context: Context | None = None
        self._plugin: Source | Sink | ServingSink | None = None
        self._predecessor: trio.Event | None = None

    @property
    def plugin(self) -> Source | Sink | ServingSink | None:
        """The plugin's object that runs now."""
        return self._plugin if self.state == "running" else None

    @property
    def addresses(self) -> frozenset[str]:
        """Where it listens."""
        return frozenset() if self._context is None else frozenset(self._context.borrowed)

    def wait_for_predecessor(self) -> None:
        """Come up, and then wait for `predecessor_is_gone` before anything is taken."""
        self._predecessor = trio.Event()

    def predecessor_is_gone(self) -> None:
        """Go on."""
        if self._predecessor is not None:
            self._predecessor.set()

    async def after_predecessor(self, attempt: Attempt) -> None:
        """Where a body waits; it counts as started then."""
        if self._predecessor is not None and not self._predecessor.is_set():
            attempt.started()
            await self._predecessor.wait()

    def inherit(self, old: "ConfiguredUnit") -> None:
        """Take over what outlives the old unit; it still runs, and takes nothing new from now on."""

    def release(self) -> None:
        """Ask for an end that leaves everything that is not in hand to the successor."""

    async def apply(self, settings: UnitSettings) -> bool:
        """Go by these while running; False: it cannot, and has to be restarted.

        Only options of the class ``live`` differ.
        """
        old, plugin = self.settings, self.plugin
        if (
            old.options != settings.options
            and plugin is not None
            and not await plugin.apply(settings.options)
        ):
            return False
        self.settings = settings
        self._follow(old)
        return True

    def _follow(self, old: UnitSettings) -> None:
        """Go by the common options in ``settings`` where they are not as they were."""

    def revoke(self) -> None:
        """See `Unit.revoke`."""
        if self._context is not None:
            self._context.close()
