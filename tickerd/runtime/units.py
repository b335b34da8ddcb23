"""The kinds of units, and which one a sink needs."""

from collections.abc import Callable

from tickerd.config.settings import SinkSettings
from tickerd.plugin import ServingSink
from tickerd.runtime.configured import ConfiguredUnit
from tickerd.runtime.durable_sink import DurableSinkUnit
from tickerd.runtime.house import House
from tickerd.runtime.live_sink import LiveSinkUnit
from tickerd.runtime.serving_unit import ServingUnit
from tickerd.runtime.sink_unit import SinkUnit
from tickerd.runtime.source_unit import SourceUnit
from tickerd.runtime.unit import Unit

__all__ = [
    "ConfiguredUnit",
    "DurableSinkUnit",
    "LiveSinkUnit",
    "ServingUnit",
    "SinkUnit",
    "SourceUnit",
    "sink_unit",
]


def sink_unit(
    settings: SinkSettings, house: House, changed: Callable[[Unit], None]
) -> SinkUnit | ServingUnit:
    """The unit for a sink of either shape and delivery."""
    if issubclass(settings.type, ServingSink):
        return ServingUnit(settings, house, changed)
    if settings.delivery == "durable":
        return DurableSinkUnit(settings, house, changed)
    return LiveSinkUnit(settings, house, changed)
