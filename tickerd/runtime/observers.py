"""Calls the hooks that observe, each implementation on its own, so that one that fails hinders nobody."""

from collections import Counter
from typing import Any

import structlog

from tickerd.runtime.registry import Registry


class Observers:
    """The plugins that want to be told.

    Hooks are called at once and in the caller's task: the plugin API asks them to return at once.

    Args:
        registry: those that it has imported, now and later, are told.
    """

    def __init__(self, registry: Registry) -> None:
        self._hooks = registry.manager.hook
        self._log = structlog.get_logger()
        self.failures: Counter[str] = Counter()
        """Plugin → how often one of its observing hooks raised."""

    def settings_applied(self, settings: Any) -> None:
        """A configuration has been applied."""
        self._tell("tickerd_settings_applied", settings=settings)

    def unit_changed(self, unit: str, state: str, detail: str) -> None:
        """A unit is in another state."""
        self._tell("tickerd_unit_changed", unit=unit, state=state, detail=detail)

    def _tell(self, hook: str, **facts: Any) -> None:
        for impl in getattr(self._hooks, hook).get_hookimpls():
            try:
                impl.function(*(facts[name] for name in impl.argnames))
            except Exception:  # noqa: BLE001 - the plugin's code may do anything
                self.failures[impl.plugin_name] += 1
                self._log.exception("observing hook failed", plugin=impl.plugin_name, hook=hook)
