"""Observing hooks are called, and one that fails hinders nobody."""

from types import SimpleNamespace
from typing import Any

import pytest
from structlog.testing import capture_logs

from tickerd.plugin import hookimpl
from tickerd.runtime.observers import Observers
from tickerd.runtime.registry import Registry


class Keen:
    def __init__(self) -> None:
        self.heard: list[Any] = []

    @hookimpl
    def tickerd_settings_applied(self, settings: Any) -> None:
        self.heard.append(settings)

    @hookimpl
    def tickerd_unit_changed(self, state: str, unit: str) -> None:
        self.heard.append((unit, state))


class Faulty:
    @hookimpl
    def tickerd_unit_changed(self, unit: str, state: str, detail: str) -> None:
        raise RuntimeError(f"{unit} {state} {detail}")


@pytest.fixture
def world() -> SimpleNamespace:
    registry, first, last = Registry.installed(), Keen(), Keen()
    for name, plugin in (("first", first), ("faulty", Faulty()), ("last", last)):
        registry.manager.register(plugin, name)
    return SimpleNamespace(observers=Observers(registry), first=first, last=last)


def test_every_observer_is_told_what_it_asks_for(world: SimpleNamespace) -> None:
    world.observers.settings_applied("settings")
    assert world.first.heard == world.last.heard == ["settings"]
    assert not world.observers.failures


def test_one_that_raises_is_logged_and_counted_and_the_others_are_told(world: SimpleNamespace) -> None:
    with capture_logs() as logs:
        world.observers.unit_changed("source.kite", "running", "detail")
        world.observers.unit_changed("source.kite", "stopped", "")
    assert world.first.heard == world.last.heard == [("source.kite", "running"), ("source.kite", "stopped")]
    assert world.observers.failures == {"faulty": 2}
    assert logs[0] == {
        "event": "observing hook failed",
        "log_level": "error",
        "plugin": "faulty",
        "hook": "tickerd_unit_changed",
        "exc_info": True,
    }
