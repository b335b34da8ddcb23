"""A sink that serves clients."""

from collections.abc import Callable

import trio

from tickerd.config.settings import SinkSettings
from tickerd.plugin import (
    ServingSink,
)
from tickerd.runtime.configured import ConfiguredUnit
from tickerd.runtime.context import ServingContext
from tickerd.runtime.house import House
from tickerd.runtime.unit import Attempt, Unit


class ServingUnit(ConfiguredUnit):
    """A serving sink; it takes leave of its clients when it is asked to end."""

    kind = "sink"
    settings: SinkSettings

    def __init__(self, settings: SinkSettings, house: House, changed: Callable[[Unit], None]) -> None:
        super().__init__(settings, house, changed)
        self._stopping = trio.Event()

    def finish(self) -> None:
        """See `Unit.finish`."""
        self._stopping.set()

    def release(self) -> None:
        """See `ConfiguredUnit.release`."""
        self._stopping.set()

    async def body(self, attempt: Attempt) -> None:
        """See `Unit.body`."""
        settings = self.settings
        assert issubclass(settings.type, ServingSink)
        context = self._context = ServingContext(self, settings.name, self._house, self._stopping)
        sink = self._plugin = settings.type(settings.options)
        try:
            await sink.run(context, task_status=attempt)
        finally:
            self.revoke()
