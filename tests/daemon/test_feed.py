"""What is asked of a feed while its units come up waits until they have."""

from collections.abc import AsyncIterator, Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing

from tickerd.config import load
from tickerd.control.steering import NewWebhook, Refused
from tickerd.daemon.daemon import Daemon
from tickerd.daemon.feed import Feed
from tickerd.daemon.program import Hooks, Program
from tickerd.daemon.steering import DaemonSteering
from tickerd.daemon.subscriptions import NAMESPACE
from tickerd.plugin import Instrument, Principal
from tickerd.runtime.registry import Registry
from tickerd.state import Database, StateDirectory, runtime
from tickerd.state.keys import By
from tickerd.systemd import Systemd

BY = By("uid 0", "unix:/x")
CALLER = Principal(id="uid 0", scopes=frozenset({"subs:write", "webhooks:write", "ticks:read"}))
YAML = """
sources: {{in: {{use: webhook, profile: github, secrets: [abcdefgh]}}}}
sinks: {{archive: {{use: file, path: "{0}/ticks.jsonl"}}}}
state: {{dir: "{0}/state"}}
"""


def _leave(code: int) -> None:
    raise AssertionError(code)


@pytest.fixture
async def feed(tmp_path: Path) -> AsyncIterator[Feed]:
    """One that has not been started yet."""
    file = tmp_path / "tickerd.yaml"
    file.write_text(YAML.format(tmp_path))
    registry = Registry.installed()
    program = Program(file, load(file, registry, {}), registry, lambda: load(file, registry, {}))
    with StateDirectory(tmp_path / "state") as state, Systemd({}, 1) as systemd:
        daemon = Daemon(program, state, Hooks(_leave), systemd)
        async with trio.open_nursery() as parking, trio.open_nursery() as core:
            async with Database(tmp_path / "state") as db, trio.open_nursery() as journal:
                feed = await daemon._make_feed(parking, core, journal, db)
                yield feed
                await feed.fleet.stop("source")
                feed.house.hub.close()
                await feed.fleet.stop("sink", grace=1)
                journal.cancel_scope.cancel()
            core.cancel_scope.cancel()
            parking.cancel_scope.cancel()


async def started_while(feed: Feed, work: Callable[[], Any]) -> None:
    """Start it when the work has come as far as it comes by itself."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(work)
        await trio.testing.wait_all_tasks_blocked(0.1)
        await feed.start()


async def test_subscriptions_of_the_first_moment_add_to_those_that_were_kept(feed: Feed) -> None:
    house = feed.house
    namespace = house.table.namespace("test")
    namespace.load([Instrument("test", 1, "NSE", "INFY"), Instrument("test", 2, "NSE", "TCS")])
    house.wants.join("test", namespace, 10)
    await house.db.run(runtime.put, NAMESPACE, "desk", [["NSE:INFY", "full", None, None]], now_ns=1)
    asked: Any = {"NSE:TCS": "ltp"}
    await started_while(feed, partial(DaemonSteering(feed).subscribe, "desk", asked, BY, caller=CALLER))
    kept = await house.db.read(runtime.get, NAMESPACE, "desk")
    assert [row[0] for row in kept] == ["NSE:INFY", "NSE:TCS"]


async def test_a_reload_of_the_first_moment_starts_nothing_twice(feed: Feed, monkeypatch: Any) -> None:
    begun: list[str] = []
    feed.listeners.append(lambda unit: begun.append(unit.name) if unit.state == "starting" else None)
    restore = feed.pauses.restore

    async def slowly() -> None:
        await trio.sleep(0.3)
        await restore()

    monkeypatch.setattr(feed.pauses, "restore", slowly)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(feed.start)
        reload = await feed.reload()
    assert sorted(begun) == ["sink.archive", "source.in"]
    assert reload.verdict is not None
    assert reload.verdict.kept == ("sink.archive", "source.in")


async def test_a_webhook_of_the_first_moment_takes_no_name_of_the_file(feed: Feed) -> None:
    refused: list[str] = []

    async def register() -> None:
        webhooks = DaemonSteering(feed).webhooks
        assert webhooks is not None
        new = NewWebhook(name="archive", url="https://x.example/hook")
        with pytest.raises(Refused) as raised:
            await webhooks.register(new, BY, caller=CALLER)
        refused.append(raised.value.code)

    await started_while(feed, register)
    assert refused == ["conflict"]
    assert feed.registered.kept == {}
