"""Logins from all sides: addresses, callbacks, what is pasted, and questions in the state directory."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import trio

from tickerd.plugin import Clock, LoggedIn, LoginRefused
from tickerd.runtime import logins as module
from tickerd.runtime.logins import (
    LONGEST,
    MOST_STATES,
    STATE_S,
    Logins,
    NotOurs,
    SourceLogin,
    can_log_in,
    given,
)
from tickerd.state import Database, StateError, audit, mailbox
from tickerd.state.keys import By

BY = By("uid 1000", "cli")


class FakeSource:
    """Takes the request token ``GOOD``."""

    expires: int | None = None

    def __init__(self) -> None:
        self.exchanged: list[dict[str, str]] = []
        self.error: Exception | None = None
        self.hangs = False

    def url(self, state: str) -> str:
        """See `tickerd.plugin.Login`."""
        return f"https://broker/login?state={state}"

    async def exchange(self, params: Mapping[str, str]) -> LoggedIn:
        """See `tickerd.plugin.Login`."""
        self.exchanged.append(dict(params))
        if self.hangs:
            await trio.sleep_forever()
        await trio.lowlevel.checkpoint()
        if self.error is not None:
            raise self.error
        if params.get("request_token") != "GOOD":
            raise LoginRefused("that is none; log in again")
        self.expires = 77
        return LoggedIn("AB1234", 77)


class Running:
    """What the daemon knows: `logins`, and the source that runs or does not."""

    def __init__(self, db: Database | None = None) -> None:
        self.source: object | None = FakeSource()
        self.names = ["kite"]
        self.logins = Logins(lambda _: self.source, lambda: self.names, Clock(), db)

    @property
    def kite(self) -> SourceLogin:
        """Its login."""
        found = self.logins.of("kite")
        assert found is not None
        return found

    def state(self) -> str:
        """That of a new address."""
        return self.kite.begin().url.partition("state=")[2]


@pytest.fixture
async def running() -> Running:
    return Running()


async def test_a_callback_needs_a_state_of_ours_which_is_good_once(running: Running) -> None:
    state = running.state()
    assert len(state) >= 40
    done = await running.kite.callback({"state": state, "request_token": "GOOD"}, "hooks 1.2.3.4")
    assert done.user == "AB1234"
    source: Any = running.source
    assert source.exchanged == [{"request_token": "GOOD"}], "the state is ours and not the source's"
    assert (running.kite.logins, running.kite.last, running.kite.expires) == (1, done, 77)
    for params in (
        {"state": state, "request_token": "GOOD"},
        {"state": "guess"},
        {"request_token": "GOOD"},
        {},
    ):
        with pytest.raises(NotOurs):
            await running.kite.callback(params, "hooks 1.2.3.4")
    assert len(source.exchanged) == 1


async def test_a_state_is_good_for_ten_minutes(running: Running, mock_clock: Any) -> None:
    young, old = running.state(), running.state()
    mock_clock.jump(STATE_S - 1)
    await running.kite.callback({"state": young, "request_token": "GOOD"}, "x")
    mock_clock.jump(2)
    with pytest.raises(NotOurs):
        await running.kite.callback({"state": old, "request_token": "GOOD"}, "x")


async def test_a_state_is_for_one_source_alone(running: Running) -> None:
    running.names.append("other")
    other = running.logins.of("other")
    assert other is not None
    with pytest.raises(NotOurs):
        await other.callback({"state": running.state(), "request_token": "GOOD"}, "x")


async def test_states_do_not_pile_up(running: Running) -> None:
    states = [running.state() for _ in range(MOST_STATES + 1)]
    with pytest.raises(NotOurs):
        await running.kite.callback({"state": states[0], "request_token": "GOOD"}, "x")
    await running.kite.callback({"state": states[1], "request_token": "GOOD"}, "x")


async def test_a_state_outlives_a_restart_of_its_source(running: Running) -> None:
    state = running.state()
    running.source = None
    with pytest.raises(LoginRefused, match="does not run now"):
        running.kite.begin()
    running.source = FakeSource()
    await running.kite.callback({"state": state, "request_token": "GOOD"}, "x")


async def test_a_failed_login_has_used_its_state_up(running: Running) -> None:
    state = running.state()
    with pytest.raises(LoginRefused, match="that is none"):
        await running.kite.callback({"state": state, "request_token": "BAD"}, "x")
    with pytest.raises(NotOurs):
        await running.kite.callback({"state": state, "request_token": "GOOD"}, "x")
    assert running.kite.logins == 0


async def test_what_is_pasted_needs_no_state_and_uses_up_the_one_in_it(running: Running) -> None:
    state = running.state()
    await running.kite.finish({"request_token": "GOOD", "state": state}, BY)
    await running.kite.finish({"request_token": "GOOD"}, BY)
    assert running.kite.logins == 2
    with pytest.raises(NotOurs):
        await running.kite.callback({"state": state, "request_token": "GOOD"}, "x")


async def test_a_source_that_is_broken_shows_nothing_of_its_secrets(running: Running) -> None:
    source: Any = running.source
    source.error = RuntimeError("SECRET")
    with pytest.raises(LoginRefused, match="the source failed at it; look into the log") as caught:
        await running.kite.finish({"request_token": "GOOD"}, BY)
    assert "SECRET" not in str(caught.value)


async def test_a_source_that_hangs_is_not_waited_for(running: Running, autojump_clock: Any) -> None:
    source: Any = running.source
    source.hangs = True
    with pytest.raises(LoginRefused, match="no answer within 25 s"):
        await running.kite.finish({"request_token": "GOOD"}, BY)


async def test_only_sources_that_log_in_have_a_login(running: Running) -> None:
    assert running.logins.of("archive") is None
    running.source = object()
    assert running.kite.expires is None
    with pytest.raises(LoginRefused):
        running.kite.begin()
    running.names.clear()
    assert running.logins.of("kite") is None
    assert can_log_in(FakeSource)
    assert not can_log_in(object)


async def test_each_login_is_a_line_of_the_audit_trail(tmp_path: Path) -> None:
    async with Database(tmp_path) as db:
        running = Running(db)
        await running.kite.finish({"request_token": "GOOD"}, BY)
        (entry,) = await db.read(audit.page)
    assert (entry.who, entry.what, entry.origin) == ("uid 1000", "sources.login", "cli")
    assert entry.after == {"source": "kite", "user": "AB1234", "expires_ns": 77}


async def test_a_state_file_that_cannot_be_written_does_not_undo_a_login(
    running: Running, tmp_path: Path
) -> None:
    class Full:
        async def run_synced(self, *_: object) -> None:
            raise StateError("full", tmp_path, "the disk is full")

    running.logins = Logins(lambda _: running.source, lambda: ["kite"], Clock(), Full())  # type: ignore[arg-type]
    assert (await running.kite.finish({"request_token": "GOOD"}, BY)).user == "AB1234"


@pytest.mark.parametrize(
    ("text", "params"),
    [
        (
            "http://127.0.0.1/?status=success&request_token=GOOD&x=",
            {"status": "success", "request_token": "GOOD"},
        ),
        ("  https://h/cb?request_token=GOOD#part \n", {"request_token": "GOOD"}),
        ("?request_token=GOOD", {"request_token": "GOOD"}),
        ("request_token=GOOD&status=success", {"request_token": "GOOD", "status": "success"}),
        ("/cb?request_token=GOOD", {"request_token": "GOOD"}),
        ("GOOD", {"pasted": "GOOD"}),
        ("R09PRA==", {"pasted": "R09PRA=="}),
    ],
)
def test_an_address_a_query_and_a_bare_token_can_be_pasted(text: str, params: dict[str, str]) -> None:
    assert given(text) == params


@pytest.mark.parametrize("text", ["", "  ", "x" * (LONGEST + 1), "http://[x?a=b"])
def test_what_is_nothing_of_that_is_refused(text: str) -> None:
    with pytest.raises(LoginRefused):
        given(text)


class TestQuestions:
    @pytest.fixture
    async def ask(self, running: Running, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
        """Puts a question to a daemon that looks often."""
        monkeypatch.setattr(module, "LOOK_S", 0.01)

        async def asking(verb: Any, source: str = "kite", **params: str) -> mailbox.Answer:
            question = mailbox.Question(source=source, verb=verb, given=params, uid=1000)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(running.logins.answer, tmp_path)
                while not (tmp_path / mailbox.FOLDER).is_dir():
                    await trio.sleep(0.001)
                found = await trio.to_thread.run_sync(mailbox.ask, tmp_path, question, 10)
                nursery.cancel_scope.cancel()
            return found

        return asking

    async def test_begin_finish_and_how_it_stands(self, ask: Any, running: Running) -> None:
        begun = await ask("begin")
        assert begun.url.startswith("https://broker/login?state=")
        done = await ask("finish", request_token="GOOD")
        assert (done.user, done.expires_ns, done.logins) == ("AB1234", 77, 1)
        standing = await ask("status")
        assert (standing.user, standing.expires_ns, standing.logins) == ("AB1234", 77, 1)

    async def test_what_is_refused_is_answered_in_words(self, ask: Any, running: Running) -> None:
        assert (await ask("finish", request_token="BAD")).error == "that is none; log in again"
        assert (await ask("begin", source="kit")).error == "no source 'kit' that logs in; there is kite"
        running.source = None
        assert "does not run now" in (await ask("begin")).error

    async def test_a_source_that_breaks_is_an_answer_too(
        self, ask: Any, running: Running, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def broken(*_: Any, **__: Any) -> Any:
            raise ZeroDivisionError("SECRET")

        monkeypatch.setattr(type(running.source), "url", broken)
        assert (await ask("begin")).error == "source 'kite' failed: ZeroDivisionError"

    async def test_a_directory_that_cannot_be_read_is_tried_again(
        self, ask: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        real, failures = mailbox.waiting, iter([OSError(5, "i/o error")])

        def waiting(*args: Any) -> Any:
            for error in failures:
                raise error
            return real(*args)

        monkeypatch.setattr(mailbox, "waiting", waiting)
        assert (await ask("begin")).url

    async def test_where_no_source_logs_in_nothing_is_made(
        self, running: Running, tmp_path: Path, autojump_clock: Any
    ) -> None:
        running.names.clear()
        with trio.move_on_after(60):
            await running.logins.answer(tmp_path)
        assert not (tmp_path / mailbox.FOLDER).exists()
