"""A source, its demand, and the namespace of its instruments."""

from collections.abc import Callable

from tickerd.config.settings import SourceSettings
from tickerd.dataflow.demand import YAML, Demand, Wish
from tickerd.plugin import (
    Mode,
)
from tickerd.runtime.configured import ConfiguredUnit
from tickerd.runtime.context import SourceContext
from tickerd.runtime.house import House
from tickerd.runtime.plan import UnitSettings
from tickerd.runtime.unit import Attempt, Unit


class SourceUnit(ConfiguredUnit):
    """A source, its demand, and the namespace of its instruments."""

    kind = "source"
    settings: SourceSettings

    def __init__(self, settings: SourceSettings, house: House, changed: Callable[[Unit], None]) -> None:
        super().__init__(settings, house, changed)
        self.namespace = house.table.namespace(settings.type.namespace or settings.name)
        self.demand = house.wants.join(
            settings.name, self.namespace, settings.type.capacity_of(settings.options)
        )
        self.demand.want(YAML, _wants(settings))

    async def body(self, attempt: Attempt) -> None:
        """See `Unit.body`."""
        settings = self.settings
        context = self._context = SourceContext(self, settings.name, self._house, self.namespace, self.demand)
        source = self._plugin = settings.type(settings.options)
        try:
            await source.run(context, task_status=attempt)
        finally:
            self.revoke()

    def inherit(self, old: ConfiguredUnit) -> None:
        """What everybody else wants is wanted of the new one too."""
        if isinstance(old, SourceUnit) and old.namespace is self.namespace:
            self.demand.close()
            self.demand = old.demand
            old.demand = Demand(self.namespace)
            self.demand.want(YAML, _wants(self.settings))

    def close(self) -> None:
        """See `Unit.close`."""
        self.demand.close()

    def _follow(self, old: UnitSettings) -> None:
        if isinstance(old, SourceSettings) and old.subscribe != self.settings.subscribe:
            self.demand.want(YAML, _wants(self.settings))


def _wants(settings: SourceSettings) -> dict[Wish, Mode]:
    return {key: entry.mode for entry in settings.subscribe for key in entry.keys}
