"""What a serving sink holds of the daemon."""

from contextlib import asynccontextmanager

import pytest
import trio

from tickerd.config import JournalSettings
from tickerd.dataflow.hub import Hub
from tickerd.instruments import InstrumentTable
from tickerd.plugin import (
    Batch,
    Clock,
    Closed,
    Decision,
    Instrument,
    Listener,
    Position,
    Principal,
    Request,
    Row,
)
from tickerd.plugin.plain import PLAIN
from tickerd.runtime.context import ServingContext
from tickerd.runtime.house import House
from tickerd.runtime.listeners import Listeners
from tickerd.runtime.recorder import Recorder
from tickerd.runtime.unit import Unit
from tickerd.state import Database, StateDirectory

ALICE = Principal(id="alice", scopes=frozenset({"ticks:read"}))
REQUEST = Request(listener=Listener(address="127.0.0.1:1"))
NO = Decision(allowed=False, remaining=0, reset_s=1, retry_after_s=1)
INSTRUMENTS = [
    Instrument("kite", 1, "NSE", "ONE"),
    Instrument("kite", 2, "NSE", "OTHER"),
    Instrument("kite", 3, "NFO", "ONE24JANFUT", expiry="2001-01-01"),
]


class Serving(Unit):
    kind = "sink"

    async def body(self, attempt):
        del attempt


class Charge:
    decision = NO


class Access:
    """Knows Alice."""

    async def authenticate(self, request):
        await trio.lowlevel.checkpoint()
        return ALICE if request is REQUEST else None

    def blocked(self, request):
        return Charge

    def authorize(self, principal, scope):
        return principal.may(scope)

    def hit(self, rate_class, request, principal=None, cost=1):
        return Charge


@pytest.fixture
def serving(tmp_path):
    """A context over a house; with a journal where that is asked for."""

    @asynccontextmanager
    async def make(*, journal=False, access=None):
        with StateDirectory(tmp_path) as state:
            async with Database(tmp_path) as db, trio.open_nursery() as nursery:
                hub, clock, table, recorder = Hub(1), Clock(), InstrumentTable(), None
                if journal:
                    recorder = Recorder(
                        JournalSettings(min_free="0B"), tmp_path / "journal", hub, clock, db, {"plain": PLAIN}
                    )
                    await recorder.open()
                    await nursery.start(recorder.run)
                namespace = table.namespace("kite")
                namespace.load(INSTRUMENTS)
                listeners = Listeners()
                house = House(hub, table, clock, state, listeners, db, recorder, access=access)
                ctx = ServingContext(Serving("stream", clock, lambda _: None), "stream", house, trio.Event())
                ctx.publish = lambda *tokens: hub.publish(
                    Batch.of([Row(token) for token in tokens]), "one", namespace
                )
                ctx.demand = house.wants.join("one", namespace, 1)
                ctx.house = house
                yield ctx
                await listeners.aclose()
                nursery.cancel_scope.cancel()

    return make


async def test_the_newest_tick_of_each_and_where_the_stream_stands(serving):
    async with serving() as ctx:
        ctx.publish(1, 2)
        ctx.publish(1)
        assert ctx.position == Position(1, 3)
        found = {tick.instrument_token: tick.position.seq for tick in ctx.latest(INSTRUMENTS)}
        assert found == {1: 3, 2: 2}


async def test_history_goes_on_from_a_position_that_was_given_out(serving):
    async with serving(journal=True) as ctx:
        ctx.publish(1)
        ctx.publish(2)
        history = await ctx.history(Position(1, 1))
        (batch,) = await history.read(ctx.position, 100)
        assert (list(batch.split.tokens), history.at) == ([2], Position(1, 2))
        assert await ctx.history(Position(1, 3)) is None


async def test_without_a_journal_there_is_no_history(serving):
    async with serving() as ctx:
        assert await ctx.history(Position(1, 0)) is None


async def test_instruments_are_found_by_symbol_token_and_pattern(serving):
    async with serving() as ctx:
        catalogue = ctx.instruments
        assert catalogue.find("NSE:ONE") == catalogue.find(1) == INSTRUMENTS[0]
        assert catalogue.find("NSE:NONE") is catalogue.find(99) is None
        assert [one.symbol for one in catalogue.matching("NSE:O*", 9)] == ["NSE:ONE", "NSE:OTHER"]
        assert len(catalogue.matching("NSE:O*", 1)) == 1
        assert catalogue.matching("NFO:*", 9) == [], "it has expired"
        with pytest.raises(ValueError, match="pattern"):
            catalogue.matching("NSE:*?*?*", 9)
        (before,) = catalogue.tables()
        ctx.house.table.namespace("kite").load(INSTRUMENTS[:1])
        (after,) = catalogue.tables()
        assert before is not after


async def test_while_no_dump_is_loaded_any_token_may_be_one(serving):
    async with serving() as ctx:
        ctx.house.table.namespace("later")
        found = ctx.instruments.find(77)
        assert (found.namespace, found.token, found.exchange) == ("later", 77, "")
        assert ctx.instruments.find("NSE:NONE") is None


async def test_what_the_sink_wants_reaches_the_source_and_what_has_no_room_is_answered(serving):
    async with serving() as ctx:
        assert ctx.want({"NSE:ONE": "full"}) == {}
        assert ctx.want({2: "ltp", "NSE:NONE": "ltp"}) == {2: "over_capacity", "NSE:NONE": "unknown_symbol"}
        assert {one.symbol: mode for one, mode in ctx.demand.wanted().items()} == {"NSE:ONE": "full"}
        ctx.want({"NSE:ONE": None, 2: "ltp"})
        assert {one.token: mode for one, mode in ctx.demand.wanted().items()} == {2: "ltp"}
        ctx.close()
        assert ctx.house.wants._leaving, "it is kept for a successor, for a while"


async def test_who_calls_is_told_by_the_daemon(serving):
    async with serving(access=Access()) as ctx:
        assert await ctx.authenticate(REQUEST) is ALICE
        assert ctx.authorize(ALICE, "ticks:read")
        assert not ctx.authorize(ALICE, "admin:keys")
        assert ctx.blocked(REQUEST) == ctx.limit("reads", REQUEST, ALICE) == NO


async def test_where_nobody_can_be_told_nobody_is_let_in(serving):
    async with serving() as ctx:
        assert await ctx.authenticate(REQUEST) is None
        assert ctx.blocked(REQUEST) is None
        assert not ctx.authorize(ALICE, "ticks:read")
        assert not ctx.limit("reads", REQUEST).allowed


async def test_after_the_unit_has_stopped_every_call_is_refused(serving):
    async with serving() as ctx:
        ctx.close()
        ctx.close()
        for call in (
            lambda: ctx.latest([]),
            lambda: ctx.want({}),
            lambda: ctx.blocked(REQUEST),
            lambda: ctx.authorize(ALICE, "x"),
            lambda: ctx.limit("reads", REQUEST),
        ):
            with pytest.raises(Closed):
                call()
        for wait in (ctx.history(Position(1, 0)), ctx.authenticate(REQUEST), ctx.listen("127.0.0.1:1")):
            with pytest.raises(Closed):
                await wait
