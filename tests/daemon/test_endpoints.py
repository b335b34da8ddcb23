"""Webhooks that are registered at run time: in force and in the file, or in neither."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Self, cast

import msgspec
import pytest
import standardwebhooks
import trio

from tickerd.config import load
from tickerd.control.steering import NewWebhook, Refused
from tickerd.daemon.daemon import Daemon
from tickerd.daemon.endpoints import Endpoints
from tickerd.daemon.feed import Feed
from tickerd.daemon.program import Hooks, Program
from tickerd.daemon.steering import DaemonSteering
from tickerd.plugin import Gap, Principal
from tickerd.runtime.registry import Registry
from tickerd.state import Database, StateDirectory, StateError, audit, deadletters
from tickerd.state.deadletters import Letter
from tickerd.state.keys import By
from tickerd.systemd import Systemd

BY = By("key a", "10.0.0.1")
ADMIN = Principal(id="key a", scopes=frozenset({"webhooks:write", "admin:config", "ticks:read"}))
WRITER = Principal(id="key b", scopes=frozenset({"webhooks:write"}))
NARROW = Principal(id="key c", scopes=frozenset({"webhooks:write", "ticks:read:NSE"}))
NEW = NewWebhook(name="pager", url="https://x.example/hook?token=hush", events=("gap",))
YAML = """
sources: {in: {use: webhook, profile: github, secrets: [abcdefgh]}}
sinks: {mine: {use: webhook, url: "https://y.example/z?token=quiet", secret: whsec_c3NzcwAAAAAAAAAAAAAAAAAAAAAAAAAA}}
"""


class Receiver:
    """In the place of the plugin's client: keeps what was posted."""

    def __init__(self) -> None:
        self.got: list[tuple[str, dict[str, str], bytes]] = []
        self.arrived = trio.Event()
        self.status = 200
        self.unreachable: Exception | None = None

    def poster(self, *_: Any) -> "Receiver":
        return self

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        return

    async def post(self, target: Any, headers: Any, body: bytes) -> Any:
        from tickerd_plugins.webhook.outbound import Response

        await trio.lowlevel.checkpoint()
        if self.unreachable is not None:
            raise self.unreachable
        self.got.append((target.url, dict(headers), body))
        self.arrived.set()
        self.arrived = trio.Event()
        return Response(self.status, (), b"", 0.01, False)

    async def until(self, count: int, host: str = "") -> None:
        with trio.fail_after(5):
            while len([url for url, _, _ in self.got if host in url]) < count:
                await self.arrived.wait()


class Running:
    """A feed without signals and without a control API."""

    def __init__(self, feed: Feed, file: Path, receiver: Receiver, hidden: set[str]) -> None:
        self.feed, self.file, self.receiver, self.hidden = feed, file, receiver, hidden
        self.steering = DaemonSteering(feed)
        self.webhooks = cast("Endpoints", self.steering.webhooks)

    def shown(self, name: str) -> Any:
        return next(one for one in self.webhooks.every() if one.name == name)

    def unit(self, name: str) -> Any:
        return self.feed.fleet.unit(f"sink.{name}")

    def gap(self) -> None:
        self.feed.house.hub.publish_records(Gap(source="in", reason="test"))

    async def trail(self) -> list[Any]:
        return list(reversed(await self.feed.house.db.read(audit.page)))

    async def refused(self, new: NewWebhook, caller: Principal = ADMIN) -> tuple[str, str]:
        with pytest.raises(Refused) as raised:
            await self.webhooks.register(new, BY, caller=caller)
        assert new.name not in self.feed.registered.sinks
        return raised.value.code, raised.value.text


Start = Callable[[], AbstractAsyncContextManager[Running]]


@pytest.fixture
def receiver(monkeypatch: pytest.MonkeyPatch) -> Receiver:
    import tickerd_plugins.webhook.sink as plugin

    one = Receiver()
    monkeypatch.setattr(plugin, "Poster", one.poster)
    return one


@pytest.fixture
def start(tmp_path: Path, receiver: Receiver) -> Start:
    """``async with start() as running``: again and again on the same state."""
    file = tmp_path / "tickerd.yaml"
    file.write_text(f"{YAML}\nstate: {{dir: {tmp_path / 'state'}}}\n")
    hidden: set[str] = set()

    def leave(code: int) -> None:
        raise AssertionError(code)

    @asynccontextmanager
    async def begin() -> AsyncIterator[Running]:
        registry = Registry.installed()
        program = Program(file, load(file, registry, {}), registry, lambda: load(file, registry, {}))
        with StateDirectory(tmp_path / "state") as state, Systemd({}, 1) as systemd:
            daemon = Daemon(program, state, Hooks(leave, hide=hidden.add), systemd)
            async with trio.open_nursery() as parking, trio.open_nursery() as core:
                async with Database(tmp_path / "state") as db, trio.open_nursery() as journal:
                    feed = await daemon._make_feed(parking, core, journal, db)
                    await feed.start()
                    yield Running(feed, file, receiver, hidden)
                    await feed.fleet.stop("source")
                    feed.house.hub.close()
                    await feed.fleet.stop("sink", grace=1)
                    journal.cancel_scope.cancel()
                core.cancel_scope.cancel()
                parking.cancel_scope.cancel()

    return begin


@pytest.fixture
async def running(start: Start) -> AsyncIterator[Running]:
    async with start() as one:
        yield one


async def test_it_is_delivered_to_over_a_restart_and_a_reload_until_it_is_removed(
    start: Start, receiver: Receiver
) -> None:
    async with start() as running:
        made = await running.webhooks.register(NEW, BY, caller=WRITER)
        assert (made.webhook.registered, made.webhook.state, made.webhook.created_by) == (
            "runtime",
            "running",
            "key a",
        )
        running.gap()
        await receiver.until(2)
    receiver.got.clear()
    async with start() as running:
        unit = running.unit("pager")
        running.gap()
        await receiver.until(2)
        (delivery,) = [one for one in receiver.got if one[0] == NEW.url]
        verified: Any = standardwebhooks.Webhook(made.secret).verify(delivery[2], delivery[1])
        assert verified["type"] == "feed.gap"
        reload = await running.feed.reload()
        assert reload.verdict is not None
        assert reload.verdict.applied
        assert running.unit("pager") is unit
        assert unit.state == "running"
        await running.webhooks.remove("pager", BY)
        assert running.unit("pager") is None
    receiver.got.clear()
    async with start() as running:
        assert [one.name for one in running.webhooks.every()] == ["mine"]
        running.gap()
        await receiver.until(1)
        assert [url for url, _, _ in receiver.got] == ["https://y.example/z?token=quiet"]


async def test_the_trail_tells_every_change_and_no_secret(running: Running) -> None:
    made = await running.webhooks.register(NEW, BY, caller=WRITER)
    fresh = await running.webhooks.rotate_secret("pager", BY, overlap_s=60)
    await running.webhooks.remove("pager", BY)
    trail = await running.trail()
    assert [(one.what, one.who, one.origin) for one in trail] == [
        (f"webhooks.{verb}", "key a", "10.0.0.1") for verb in ("register", "rotate_secret", "remove")
    ]
    assert (trail[0].before, trail[0].after["origin"]) == (None, "https://x.example")
    assert (trail[1].before["signing"], trail[1].after["signing"]) == (1, 2)
    assert trail[2].after == {"name": "pager", "given_up": 0}
    text = repr(trail)
    assert not any(word in text for word in ("whsec", "hush", "/hook", made.secret, fresh.secret))


async def test_nothing_that_is_shown_or_logged_holds_the_address_or_a_secret(running: Running) -> None:
    made = await running.webhooks.register(NEW, BY, caller=WRITER)
    text = msgspec.json.encode(running.webhooks.every()).decode()
    assert not any(word in text for word in ("hush", "/hook", "quiet", "whsec"))
    assert {one.origin for one in running.webhooks.every()} == {"https://x.example", "https://y.example"}
    assert {NEW.url, made.secret} <= running.hidden


async def test_secrets_are_hidden_from_the_log_after_a_restart_too(start: Start) -> None:
    async with start() as running:
        made = await running.webhooks.register(NEW, BY, caller=WRITER)
        running.hidden.clear()
    async with start() as running:
        assert {NEW.url, made.secret} <= running.hidden


async def test_a_new_secret_signs_at_once_and_the_old_one_beside_it(
    running: Running, receiver: Receiver
) -> None:
    old = await running.webhooks.register(NEW, BY, caller=WRITER)
    new = await running.webhooks.rotate_secret("pager", BY, overlap_s=3600)
    assert new.webhook.secrets == 2
    assert (await running.webhooks.test("pager", BY, caller=ADMIN)).ok
    _, headers, body = receiver.got[-1]
    for one in (old, new):
        standardwebhooks.Webhook(one.secret).verify(body, headers)
    third = await running.webhooks.rotate_secret("pager", BY, overlap_s=3600)
    assert third.webhook.secrets == 3
    with pytest.raises(Refused, match="'pager' has 3 secrets that sign") as raised:
        await running.webhooks.rotate_secret("pager", BY, overlap_s=3600)
    assert raised.value.code == "conflict"
    assert (await running.webhooks.rotate_secret("pager", BY, overlap_s=0)).webhook.secrets == 3


async def test_after_a_leak_the_old_secret_signs_no_more(running: Running, receiver: Receiver) -> None:
    old = await running.webhooks.register(NEW, BY, caller=WRITER)
    new = await running.webhooks.rotate_secret("pager", BY, overlap_s=0)
    await running.webhooks.test("pager", BY, caller=ADMIN)
    _, headers, body = receiver.got[-1]
    standardwebhooks.Webhook(new.secret).verify(body, headers)
    with pytest.raises(standardwebhooks.WebhookVerificationError):
        standardwebhooks.Webhook(old.secret).verify(body, headers)


async def test_names_are_given_once(running: Running) -> None:
    await running.webhooks.register(NEW, BY, caller=WRITER)
    for name in ("pager", "mine"):
        with pytest.raises(Refused, match=f"there is a sink '{name}' already") as raised:
            await running.webhooks.register(new_with(name=name), BY, caller=WRITER)
        assert raised.value.code == "conflict"


async def test_those_of_the_yaml_and_those_that_are_not_there_cannot_be_changed(running: Running) -> None:
    for name, code, text in (
        ("mine", "conflict", "'mine' is of the YAML: change it there"),
        ("nobody", "unknown", "there is no webhook 'nobody'"),
    ):
        for verb in (
            running.webhooks.remove(name, BY),
            running.webhooks.rotate_secret(name, BY, overlap_s=0),
        ):
            with pytest.raises(Refused) as raised:
                await verb
            assert (raised.value.code, raised.value.text) == (code, text)
    with pytest.raises(Refused, match="there is no webhook 'nobody'"):
        await running.webhooks.test("nobody", BY, caller=ADMIN)


@pytest.mark.parametrize(
    "options",
    [
        {"allow_private": ["127.0.0.0/8"]},
        {"ports": [9000]},
        {"headers": {"x-a": "b"}},
        {"secret": "whsec_x"},
        {"old_secrets": []},
        {"delivery": "live"},
        {"buffer": "60GiB"},
        {"required": True},
        {"retry": {"timeout": "1h"}},
        {"use": "file"},
        {"url": "https://z.example"},
        {"events": ["order"]},
    ],
)
async def test_what_loosens_the_policy_or_costs_others_is_for_the_yaml(
    options: dict[str, Any], running: Running
) -> None:
    code, text = await running.refused(new_with(options=options))
    assert (code, text.partition(" at run time")[0]) == (
        "invalid",
        f"option {next(iter(options))!r} cannot be set",
    )


async def test_options_are_no_trees(running: Running) -> None:
    assert (await running.refused(new_with(options={"when": [["a"]]})))[0] == "invalid"
    assert (await running.refused(new_with(options={"class": {"a": 1}})))[0] == "invalid"


async def test_references_are_not_resolved(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HUSH", "x.example")
    code, text = await running.refused(new_with(url="https://${env:HUSH}/"))
    assert code == "invalid"
    assert "references are not resolved" in text


async def test_only_administrators_hear_what_is_wrong_with_an_address(running: Running) -> None:
    urls = (
        "https://127.0.0.1:8443/a",
        "https://169.254.169.254/",
        "http://x.example/",
        "https://localhost/",
        "https://x.example:22/",
        "nothing",
        "https://${env:HOME}/",
    )
    plain = {await running.refused(new_with(url=url), WRITER) for url in urls}
    assert len(plain) == 1
    code, text = await running.refused(new_with(url=urls[0]), ADMIN)
    assert (code, text) == ("invalid", "url: 127.0.0.1 is loopback (127.0.0.0/8)")


async def test_every_other_mistake_is_told_in_one_line(running: Running) -> None:
    new = new_with(events=("nope",), options={"class": "ticks", "interval": "1ms"})
    code, text = await running.refused(new)
    assert code == "invalid"
    assert "events[0]: expected 'tick', 'gap'" in text
    assert "interval: a POST for each tick is refused" in text
    assert "\n" not in text


async def test_there_is_room_for_so_many(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tickerd.daemon.endpoints.MOST", 1)
    await running.webhooks.register(NEW, BY, caller=WRITER)
    with pytest.raises(Refused, match="1 webhooks are registered; remove one of them first"):
        await running.webhooks.register(new_with(name="other"), BY, caller=WRITER)


# -- who may have what sent -----------------------------------------------------------------------------


async def test_ticks_are_for_those_who_may_read_them(running: Running) -> None:
    for options in ({"class": "ticks"}, {"when": ["last_price > 1"]}):
        code, text = await running.refused(
            new_with(events=(), instruments=("NSE:INFY",), options=options), WRITER
        )
        assert (code, text) == ("refused", "ticks and alerts need the scope 'ticks:read'")


async def test_a_narrow_key_gets_what_it_may_see(running: Running) -> None:
    ticks = {"events": (), "options": {"class": "ticks"}}
    assert (await running.refused(new_with(**ticks), NARROW))[0] == "refused"
    for hidden in ("BSE:INFY", "NSE:*", "1"):
        assert (await running.refused(new_with(**ticks, instruments=(hidden,)), NARROW))[0] == "refused"
    made = await running.webhooks.register(new_with(**ticks, instruments=("NSE:INFY",)), BY, caller=NARROW)
    assert (made.webhook.events, made.webhook.instruments) == (("tick",), ("NSE:INFY",))


async def test_a_narrow_key_is_not_told_of_the_account(running: Running) -> None:
    code, text = await running.refused(new_with(events=("order",)), NARROW)
    assert (code, text) == ("refused", "event 'order' is for keys that may see all instruments")
    made = await running.webhooks.register(new_with(events=()), BY, caller=NARROW)
    assert made.webhook.events == ("gap", "status", "market", "endpoint")


async def test_a_table_says_where_a_token_belongs(running: Running) -> None:
    from tickerd.plugin import Instrument

    namespace = running.feed.house.table.namespace("kite")
    namespace.load([Instrument("kite", 1, "NSE", "INFY"), Instrument("kite", 2, "BSE", "INFY")])
    ticks = {"events": (), "options": {"class": "ticks"}}
    assert (await running.refused(new_with(**ticks, instruments=("2",)), NARROW))[0] == "refused"
    made = await running.webhooks.register(new_with(**ticks, instruments=("1",)), BY, caller=NARROW)
    assert made.webhook.instruments == ("1",)


# -- a ping ---------------------------------------------------------------------------------------------


async def test_only_administrators_hear_why_there_was_no_answer(
    running: Running, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tickerd_plugins.webhook.outbound import Unreachable

    monkeypatch.setattr("tickerd.daemon.endpoints.EVEN_S", 0.3)
    await running.webhooks.register(NEW, BY, caller=WRITER)
    answers = set()
    for kind, detail in (("connect", "10.0.0.7 refused"), ("refused_by_policy", "10.0.0.7 is private")):
        receiver.unreachable = Unreachable(cast("Any", kind), detail)
        began = trio.current_time()
        answers.add(await running.webhooks.test("pager", BY, caller=WRITER))
        assert trio.current_time() - began >= 0.3
        assert (await running.webhooks.test("pager", BY, caller=ADMIN)).detail == detail
    (equal,) = answers
    assert (equal.ok, equal.status, equal.took_s) == (False, None, 0.3)
    assert "10.0.0.7" not in equal.detail


async def test_a_ping_is_in_the_trail_with_what_came_of_it(running: Running, receiver: Receiver) -> None:
    receiver.status = 500
    tested = await running.webhooks.test("mine", BY, caller=WRITER)
    assert (tested.ok, tested.status, tested.detail) == (False, 500, "status 500")
    (entry,) = await running.trail()
    assert (entry.what, entry.after) == ("webhooks.test", {"name": "mine", "ok": False, "status": 500})


async def test_one_that_does_not_run_is_not_tried_out(running: Running) -> None:
    await running.webhooks.register(NEW, BY, caller=WRITER)
    await running.feed._supervisor.stop([running.unit("pager")])
    with pytest.raises(Refused, match="webhook 'pager' is stopped") as raised:
        await running.webhooks.test("pager", BY, caller=ADMIN)
    assert raised.value.code == "conflict"
    assert running.shown("pager").state == "stopped"


async def test_a_ping_to_one_that_goes_away_is_told(running: Running, receiver: Receiver) -> None:
    receiver.unreachable = RuntimeError("closed")
    with pytest.raises(Refused, match="'mine' went away meanwhile"):
        await running.webhooks.test("mine", BY, caller=ADMIN)


# -- what does not work out -----------------------------------------------------------------------------


async def test_what_does_not_come_up_leaves_no_trace(
    running: Running, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: Any) -> None:
        raise RuntimeError("no")

    monkeypatch.setattr(Receiver, "__aenter__", broken)
    running.feed._supervisor.renew(0.5, 0.5)
    code, text = await running.refused(NEW)
    assert code == "unavailable"
    assert "sink.pager does not come up" in text
    assert running.unit("pager") is None
    assert await running.trail() == []
    monkeypatch.undo()


async def test_what_cannot_be_written_down_is_not_in_force(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    await running.webhooks.register(NEW, BY, caller=WRITER)
    db, really = running.feed.house.db, running.feed.house.db.run_synced

    async def full(work: Any, *words: Any) -> Any:
        if work.__name__ == "_make_way":
            return await really(work, *words)
        raise StateError(db.path, "full", "the disk is full; free some space")

    monkeypatch.setattr(db, "run_synced", full)
    with pytest.raises(StateError):
        await running.webhooks.register(new_with(name="other"), BY, caller=WRITER)
    assert running.unit("other") is None
    with pytest.raises(StateError):
        await running.webhooks.rotate_secret("pager", BY, overlap_s=60)
    assert running.shown("pager").secrets == 1
    with pytest.raises(StateError):
        await running.webhooks.remove("pager", BY)
    assert running.unit("pager").state == "running"
    assert running.shown("pager").registered == "runtime"


async def test_a_caller_who_leaves_does_not_leave_half_of_it(running: Running) -> None:
    with trio.CancelScope() as scope:
        scope.cancel()
        await running.webhooks.register(NEW, BY, caller=WRITER)
    with trio.CancelScope() as scope:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(partial(running.webhooks.register, NEW, BY, caller=WRITER))
            while running.unit("pager") is None:
                await trio.lowlevel.checkpoint()
            scope.cancel()
    assert [one.what for one in await running.trail()] == ["webhooks.register"]
    assert running.shown("pager").registered == "runtime"


async def test_what_is_not_done_in_time_is_taken_back(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tickerd.daemon.endpoints.LONGEST_S", 0.2)

    async def slow(*_: Any) -> None:
        await trio.sleep_forever()

    monkeypatch.setattr(running.feed.fleet, "apply", slow)
    assert await running.refused(NEW) == ("unavailable", "it was not done within 0.2 s")


# -- beside the file ------------------------------------------------------------------------------------


async def test_a_reload_may_not_take_the_name_of_a_registered_one(running: Running) -> None:
    await running.webhooks.register(NEW, BY, caller=WRITER)
    running.file.write_text(running.file.read_text().replace("{mine:", "{pager:"))
    for reload in (await running.feed.rehearse(), await running.feed.reload()):
        (problem,) = reload.problems
        assert problem.path == "sinks.pager"
        assert "tickerd webhooks remove pager" in problem.hint
    assert running.unit("mine").state == running.unit("pager").state == "running"


async def test_a_name_that_the_file_took_while_tickerd_was_down_is_the_files(start: Start) -> None:
    async with start() as running:
        await running.webhooks.register(NEW, BY, caller=WRITER)
        text = running.file.read_text()
        running.file.write_text(text.replace("{mine:", "{pager:"))
    async with start() as running:
        shown = running.shown("pager")
        assert (shown.registered, shown.origin, shown.created_by) == ("yaml", "https://y.example", None)
        with pytest.raises(Refused, match="of the YAML"):
            await running.webhooks.remove("pager", BY)
        assert not (await running.feed.reload()).problems
        running.file.write_text(text)
        assert not (await running.feed.reload()).problems
        assert running.shown("pager").registered == "runtime"


async def test_a_document_that_is_checked_does_not_seem_to_remove_it(running: Running) -> None:
    await running.webhooks.register(NEW, BY, caller=WRITER)
    examined = await running.steering.validate(running.file.read_bytes())
    assert examined.plan is not None
    assert {step["verb"] for step in examined.plan["steps"]} == {"keep"}


async def test_without_a_journal_it_is_live(start: Start) -> None:
    async with start() as running:
        await running.webhooks.register(NEW, BY, caller=WRITER)
        assert running.unit("pager").settings.delivery == "durable"
        assert running.feed.house.recorder is not None
        assert "sink.pager" in running.feed.house.recorder.durable
        running.file.write_text(f"{running.file.read_text()}journal: off\n")
    async with start() as running:
        assert running.unit("pager").settings.delivery == "live"
        assert running.unit("pager").state == "running"


async def test_its_place_in_the_journal_is_kept_from_the_start(start: Start) -> None:
    async with start() as running:
        await running.webhooks.register(NEW, BY, caller=WRITER)
    async with start() as running:
        assert running.feed.house.recorder is not None
        assert "sink.pager" in running.feed.house.recorder.durable


async def test_one_that_cannot_be_used_any_more_is_left_out_and_the_rest_runs(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with start() as running:
        await running.webhooks.register(NEW, BY, caller=WRITER)
        await running.webhooks.register(new_with(name="other"), BY, caller=WRITER)
        await running.feed.house.db.run(
            lambda connection: connection.execute(
                "UPDATE endpoints SET url = 'https://10.0.0.1/' WHERE name = 'pager'"
            )
        )
    async with start() as running:
        assert [one.name for one in running.webhooks.every()] == ["mine", "other"]
        assert (await running.refused(NEW))[0] == "conflict"  # it is in the file all the same


# -- what waits for it ----------------------------------------------------------------------------------


async def test_what_waits_goes_with_it_and_is_not_for_the_next_of_its_name(
    running: Running, receiver: Receiver
) -> None:
    await running.webhooks.register(NEW, BY, caller=WRITER)
    receiver.status = 500
    running.gap()
    await receiver.until(2)
    await running.webhooks.remove("pager", BY)
    assert (await running.trail())[-1].after == {"name": "pager", "given_up": 1}
    receiver.status = 200
    await running.webhooks.register(new_with(url="https://other.example/"), BY, caller=WRITER)
    running.gap()
    await receiver.until(1, "other")
    await running.steering.flush("pager", BY)
    assert len([url for url, _, _ in receiver.got if "other" in url]) == 1


async def test_dead_letters_of_a_former_sink_are_not_for_a_new_one(running: Running) -> None:
    await running.feed.house.db.run(deadletters.add, [letter("pager")])
    code, text = await running.refused(NEW)
    assert code == "conflict"
    assert "1 dead letters of a former sink 'pager' are kept" in text


async def test_its_breaker_is_shown_and_can_be_reset(running: Running) -> None:
    await running.webhooks.register(NEW, BY, caller=WRITER)
    for _ in range(5):
        running.unit("pager").guard.failed("no")
    assert running.shown("pager").breaker == "open"
    await running.steering.reset_breaker("pager", BY)
    assert running.shown("pager").breaker == "closed"
    await running.steering.pause("pager", BY)
    assert running.shown("pager").state == "paused"


async def test_where_no_plugin_knows_webhooks_there_are_none(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running.feed.program.registry, "names", lambda kind: ["file"])
    assert running.steering.webhooks is None


# -- the whole ------------------------------------------------------------------------------------------

PROCESS = """
sources: {in: {use: webhook, profile: github, secrets: [abcdefgh]}}
sinks: {archive: {use: file, path: "out/{date}.jsonl"}}
state: {dir: state}
control: {listen: "unix:api.sock"}
"""


@contextmanager
def daemon(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """`tickerd run`, until it is ready; stopped in the end."""
    command = [sys.executable, "-m", "tickerd", "run", "-c", "t.yaml"]
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        next(line for line in process.stdout if '"event":"ready"' in line)
        reader = threading.Thread(target=process.stdout.read)
        reader.start()
        yield process
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
        reader.join()


@pytest.mark.full
def test_the_whole_life_of_one_on_the_command_line(tmp_path: Path) -> None:
    (tmp_path / "t.yaml").write_text(PROCESS)
    env = {**os.environ, "TICKERD_SOCKET": "api.sock"}

    def run(*words: str, code: int = 0) -> str:
        command = [sys.executable, "-m", "tickerd", *words]
        done = subprocess.run(
            command, cwd=tmp_path, capture_output=True, text=True, timeout=60, env=env, check=False
        )
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout + done.stderr

    url = "https://pager.example/hook?token=hush"
    with daemon(tmp_path):
        assert "loopback" in run(
            "webhooks", "register", "own", "https://127.0.0.1:8443/", "--event", "report", code=1
        )
        secrets = run("webhooks", "register", "pager", url, "--event", "report")
        assert secrets.startswith("whsec_")
        assert "already" in run("webhooks", "register", "pager", url, code=1)
    with daemon(tmp_path):
        assert "https://pager.example" in run("webhooks", "list")
        secrets += run("webhooks", "rotate-secret", "pager", "--overlap", "1h")
        assert "kept" in run("reload")
        shown = run("webhooks", "list", "--json")
        assert msgspec.json.decode(shown)["webhooks"][0]["secrets"] == 2
        run("webhooks", "remove", "pager")
        assert "there are no webhooks" in run("webhooks", "list")
        trail = run("audit", "--json")
    for verb in ("register", "rotate_secret", "remove"):
        assert f"webhooks.{verb}" in trail
    assert not any(word in trail + shown for word in ("hush", "whsec_", *secrets.split()[:1]))


def new_with(**changes: Any) -> NewWebhook:
    return NewWebhook(**{"name": NEW.name, "url": NEW.url, "events": NEW.events, **changes})


def letter(sink: str) -> Letter:
    from tickerd.plugin import Position

    return Letter(sink=sink, position=Position(1, 1), reason="no", first_ns=1, last_ns=1)
