"""Which instruments are found to be silent, and when: by what they did before, the hours and the connection."""

from collections.abc import Callable
from typing import Any

import pytest

from tickerd.dataflow.silence import LIQUID_S, OTHERS_S, News, Scene, Silence
from tickerd.plugin import Instrument

LOOK_S = 5
ONE, TWO = (Instrument("kite", token, "NSE", f"S{token}") for token in (1, 2))
START_S = 1_000_020


class World:
    """Looks every few seconds; the test says what ticks meanwhile."""

    def __init__(self) -> None:
        self.silence = Silence()
        self.now_s = START_S
        self.heard: dict[int, tuple[int, int | None]] = {}
        self.trading: int | None = 0
        self.fed: dict[int | None, int | None] = {None: 0, 0: 0, 1: 0}
        self.instruments: list[Instrument] = [ONE, TWO]
        self.begun: list[tuple[int, str]] = []
        self.ended: list[tuple[int, str]] = []

    def look(self) -> News:
        scene = Scene(
            lambda exchange: self.trading,
            lambda number: self.fed[number],
            lambda instrument: self.heard.get(instrument.token),
        )
        news = self.silence.look(self.now_s * 10**9, self.instruments, scene)
        self.begun += [(self.now_s, one.instrument) for one in news.begun]
        self.ended += [(self.now_s, one) for one in news.ended]
        return news

    def run(self, seconds: int, every: dict[Instrument, int] | None = None) -> None:
        """Pass time; each of these instruments ticks every so many seconds, each over a connection of its own."""
        for _ in range(seconds):
            self.now_s += 1
            for instrument, pause in (every or {}).items():
                if self.now_s % pause == 0:
                    self.heard[instrument.token] = (self.now_s * 10**9, instrument.token - 1)
            if self.now_s % LOOK_S == 0:
                self.look()

    def after(self) -> list[tuple[int, str]]:
        return [(at - self.mute_s, name) for at, name in self.begun]

    mute_s = 0


@pytest.fixture
def world() -> World:
    return World()


def test_a_muted_symbol_that_is_liquid_is_told_within_30_s_and_once(world: World) -> None:
    world.run(120, {ONE: 1, TWO: 1})
    world.mute_s = world.now_s
    world.run(200, {TWO: 1})
    ((after, name),) = world.after()
    assert name == "NSE:S1"
    assert LIQUID_S < after <= 30
    (shown,) = world.silence.silent
    assert (shown.instrument, shown.age_s, shown.limit_s, shown.market) == ("NSE:S1", 200, LIQUID_S, "open")


def test_one_that_ticks_seldom_is_told_within_5_minutes(world: World) -> None:
    world.run(600, {ONE: 60, TWO: 1})
    world.mute_s = world.now_s
    world.run(400, {TWO: 1})
    ((after, name),) = world.after()
    assert name == "NSE:S1"
    assert OTHERS_S < after <= 300


def test_one_that_never_ticked_is_told_within_5_minutes(world: World) -> None:
    world.run(280, {TWO: 1})
    assert world.begun == []
    world.run(20, {TWO: 1})
    assert [name for _, name in world.begun] == ["NSE:S1"]
    assert world.silence.silent[0].age_s is None


def test_the_end_is_told_once(world: World) -> None:
    world.run(60, {ONE: 1, TWO: 1})
    world.run(60, {TWO: 1})
    assert world.ended == []
    world.run(60, {ONE: 1, TWO: 1})
    assert [name for _, name in world.ended] == ["NSE:S1"]
    assert world.silence.silent == ()


def test_after_a_silence_it_is_liquid_again_soon(world: World) -> None:
    world.run(60, {ONE: 1, TWO: 1})
    world.run(100, {TWO: 1})
    world.run(150, {ONE: 1, TWO: 1})
    world.mute_s, world.begun = world.now_s, []
    world.run(60, {TWO: 1})
    assert world.after()[0][0] <= 30


def test_one_that_pauses_for_half_a_minute_now_and_then_is_not_told(world: World) -> None:
    world.run(3000, {ONE: 28, TWO: 1})
    assert world.begun == []


def test_it_is_quiet_while_the_exchange_is_closed_and_counts_from_its_opening(world: World) -> None:
    world.trading = None
    world.run(3600)
    assert world.begun == []
    world.trading = world.now_s * 10**9
    opened = world.now_s
    world.run(400, {TWO: 1})
    ((at, name),) = world.begun
    assert name == "NSE:S1"
    assert OTHERS_S < at - opened <= 300


def test_the_night_says_nothing_of_how_liquid_an_instrument_is(world: World) -> None:
    world.run(60, {ONE: 1, TWO: 1})
    world.trading = None
    world.run(3600)
    world.trading = world.now_s * 10**9
    world.run(20, {ONE: 1, TWO: 1})
    world.mute_s = world.now_s
    world.run(60, {TWO: 1})
    assert world.after()[0][0] <= 30


def test_what_is_silent_at_the_close_is_dropped_without_a_word(world: World) -> None:
    world.run(60, {ONE: 1, TWO: 1})
    world.run(60, {TWO: 1})
    world.trading = None
    world.run(10)
    assert world.silence.silent == ()
    assert world.ended == []


def test_a_dead_connection_is_not_the_instruments_silence(world: World) -> None:
    world.run(60, {ONE: 1, TWO: 1})
    world.fed[0] = None
    world.run(600, {TWO: 1})
    assert world.begun == []
    world.mute_s = world.now_s
    world.fed[0] = world.now_s * 10**9
    world.run(60, {TWO: 1})
    assert world.after()[0][0] <= 30, "the outage says nothing of how liquid it is"


def test_a_silence_goes_on_over_an_outage_and_is_not_told_anew(world: World) -> None:
    world.run(60, {ONE: 1, TWO: 1})
    world.run(60, {TWO: 1})
    world.fed[0] = None
    world.run(60, {TWO: 1})
    assert len(world.silence.silent) == 1
    world.fed[0] = world.now_s * 10**9
    world.run(60, {TWO: 1})
    assert len(world.begun) == 1
    assert world.ended == []


def test_another_instrument_under_the_same_token_begins_anew(world: World) -> None:
    world.run(60, {ONE: 1, TWO: 1})
    world.run(60, {TWO: 1})
    world.instruments = [Instrument("kite", 1, "NSE", "NEW"), TWO]
    del world.heard[1]
    world.run(200, {TWO: 1})
    assert world.silence.silent == ()
    assert world.ended == []


def test_what_is_not_wanted_any_more_is_forgotten(world: World) -> None:
    world.run(60, {ONE: 1, TWO: 1})
    world.run(60, {TWO: 1})
    world.instruments = [TWO]
    world.silence.forget([2])
    assert world.silence.silent == ()
    assert world.silence._paces.keys() == {2}


def test_one_look_at_9000_instruments_costs_little(world: World) -> None:
    asked: list[Any] = []
    note: Callable[[Any], Any] = asked.append
    many = [Instrument("kite", token, "NSE", f"S{token}") for token in range(9000)]
    scene = Scene(lambda exchange: 0, lambda number: 0, note)
    Silence().look(10**18, many, scene)
    assert len(asked) == 9000
