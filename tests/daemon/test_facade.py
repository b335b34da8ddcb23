"""What the control API sees of the configuration in force."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tickerd.config import SinkSettings, compile_settings, parse_document
from tickerd.control.broadcast import Broadcast
from tickerd.control.facade import ConfigShown
from tickerd.daemon.facade import DaemonFacade
from tickerd.daemon.subscriptions import Subscriptions
from tickerd.plugin import Principal
from tickerd.runtime.registry import Registry
from tickerd.state.keys import By

YAML = b"""\
sources:
  demo: {use: simulator}
sinks:
  archive: {use: file, path: x.jsonl}
"""


@pytest.fixture
def subscriptions(house: Any) -> Subscriptions:
    return Subscriptions(house)


@pytest.fixture
def config(subscriptions: Subscriptions) -> Callable[..., ConfigShown]:
    """``config("pager")``: what is shown with these webhooks registered beside the file."""
    written = compile_settings(parse_document(YAML, "t.yaml"), Registry(), {})

    def show(*registered: str) -> ConfigShown:
        archive = written.settings.sinks["archive"]
        more: dict[str, SinkSettings] = dict.fromkeys(registered, archive)
        settings = written.settings.model_copy(update={"sinks": {**more, **written.settings.sinks}})
        feed: Any = SimpleNamespace(
            house=SimpleNamespace(clock=None),
            program=SimpleNamespace(file=Path("t.yaml")),
            written=written,
            compiled=replace(written, settings=settings),
            settings=settings,
            fleet=SimpleNamespace(settings=settings, generation=1),
            subscriptions=subscriptions,
            last_verdict=None,
            applied_ns=5,
        )
        return DaemonFacade(feed, Broadcast(1)).config()

    return show


WRITTEN = {"sources.demo.use": "t.yaml:2", "sinks.archive.use": "t.yaml:4", "sinks.archive.path": "t.yaml:4"}


async def test_what_was_written_is_shown_with_its_place(config: Callable[..., ConfigShown]) -> None:
    shown = config()
    assert shown.values["sinks"]["archive"]["path"] == "x.jsonl"
    assert shown.origins == WRITTEN


async def test_what_was_changed_over_the_api_is_of_the_run_time(
    config: Callable[..., ConfigShown], subscriptions: Subscriptions, everything: Principal
) -> None:
    by = By("uid 0", "unix:/x")
    await subscriptions.add("desk.1", {"NSE:INFY": "full"}, by, caller=everything, source=None)
    shown = config("pager", "archive")
    assert shown.origins == WRITTEN | {"sinks.pager": "runtime", "subscriptions.'desk.1'": "runtime"}
    await subscriptions.remove("desk.1", None, by, source=None)
    assert config().origins == WRITTEN
