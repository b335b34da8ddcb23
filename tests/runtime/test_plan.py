"""What a reload would do, as values."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tickerd.config.access import AuthSettings, ControlSettings, HooksSettings, RateLimitSettings
from tickerd.config.settings import (
    BatchSettings,
    LimitSettings,
    LogSettings,
    Settings,
    SinkSettings,
    SourceSettings,
    StateSettings,
    SubscribeEntry,
)
from tickerd.plugin import (
    Authenticator,
    Batch,
    Decision,
    Duration,
    Listen,
    Names,
    Options,
    RateLimiter,
    Reject,
    Secret,
    Sink,
    Source,
    option,
)
from tickerd.runtime.plan import Difference, plan


class TlsOptions(Options):
    verify: bool = option(True, doc="Whether certificates are checked.")
    ca: str | None = option(None, doc="Certificates to trust.", reload="daemon")


class FeedOptions(Options):
    url: str = option("wss://a", doc="Where the feed is.")
    key: Secret = option("k1", doc="A key.")
    pace: Duration = option("1s", doc="How fast.", reload="live")
    node: int = option(1, doc="Needs a restart of the daemon.", reload="daemon")
    tls: TlsOptions = option(TlsOptions(), doc="About TLS.")
    extra: dict[str, Any] = option({}, doc="Anything.", reload="live")
    auth_token: str = option("t0", doc="A secret whose type does not say so.")


class Feed(Source):
    Options: ClassVar[type[Options]] = FeedOptions

    def __init__(self, options: Any) -> None: ...

    async def run(self, ctx: Any, *, task_status: Any) -> None: ...


class OtherFeed(Feed): ...


class Out(Sink):
    Options: ClassVar[type[Options]] = FeedOptions

    def __init__(self, options: Any, ctx: Any) -> None: ...

    async def write(self, batch: Batch) -> Sequence[Reject]:
        return ()


class CarefulOut(Out):
    replace = "after"


def source(name: str = "feed", kind: type[Source] = Feed, **more: Any) -> SourceSettings:
    own = {key: more.pop(key) for key in list(more) if key in FeedOptions.model_fields}
    return SourceSettings(name=name, use=kind.__name__, type=kind, options=FeedOptions(**own), **more)


def sink(name: str = "out", kind: type[Sink] = Out, **more: Any) -> SinkSettings:
    own = {key: more.pop(key) for key in list(more) if key in FeedOptions.model_fields}
    return SinkSettings(name=name, use=kind.__name__, type=kind, options=FeedOptions(**own), **more)


def settings(*units: SourceSettings | SinkSettings, **more: Any) -> Settings:
    return Settings(
        sources={unit.name: unit for unit in units if isinstance(unit, SourceSettings)},
        sinks={unit.name: unit for unit in units if isinstance(unit, SinkSettings)},
        **more,
    )


def verbs(old: Settings | None, new: Settings) -> list[str]:
    return [f"{step.verb} {step.unit}" for step in plan(old, new).steps]


def the_step(old: SourceSettings | SinkSettings, new: SourceSettings | SinkSettings) -> Any:
    (step,) = plan(settings(old), settings(new)).steps
    return step


def test_at_the_start_everything_is_added_sinks_first() -> None:
    made = plan(None, settings(source("b"), source("a"), sink("d"), sink("c")))
    assert [f"{step.verb} {step.unit}" for step in made.steps] == [
        "add sink.c",
        "add sink.d",
        "add source.a",
        "add source.b",
    ]
    assert made.changes
    assert made.settings == ()


def test_equal_settings_keep_everything() -> None:
    made = plan(settings(source(), sink()), settings(source(), sink()))
    assert [step.verb for step in made.steps] == ["keep", "keep"]
    assert not made.changes


def test_removed_sources_go_before_removed_sinks_and_both_after_what_is_new() -> None:
    old = settings(source("a"), source("z"), sink("a"), sink("z"))
    new = settings(source("b"), source("z", url="wss://b"), sink("b"), sink("z"))
    assert verbs(old, new) == [
        "add sink.b",
        "keep sink.z",
        "add source.b",
        "restart source.z",
        "remove source.a",
        "remove sink.a",
    ]


def test_a_live_difference_alone_is_a_change() -> None:
    step = the_step(source(), source(pace="2s", required=True))
    assert (step.verb, step.replace) == ("change", None)
    assert step.differences == (
        Difference("required", "live", False, True),
        Difference("pace", "live", "1s", "2s"),
    )


def test_one_difference_of_class_unit_makes_it_a_restart() -> None:
    step = the_step(source(), source(pace="2s", url="wss://b"))
    assert step.verb == "restart"
    assert {one.option: one.reload for one in step.differences} == {"url": "unit", "pace": "live"}


def test_a_type_says_in_which_order_it_is_replaced() -> None:
    assert the_step(source(), source(url="b")).replace == "after"
    assert the_step(sink(), sink(url="b")).replace == "beside"
    assert the_step(sink(kind=CarefulOut), sink(kind=CarefulOut, url="b")).replace == "after"
    assert (
        the_step(sink(), sink(kind=CarefulOut)).replace
        == the_step(sink(kind=CarefulOut), sink()).replace
        == "after"
    )


def test_another_plugin_is_a_restart_for_that_one_reason() -> None:
    step = the_step(source(), source(kind=OtherFeed, url="wss://b"))
    assert step.verb == "restart"
    assert step.differences == (Difference("use", "unit", "Feed", "OtherFeed"),)


def test_what_is_subscribed_is_a_difference_on_the_open_connection() -> None:
    old = source(subscribe=[SubscribeEntry(instruments=["NSE:INFY", "NSE:TCS"], mode="full")])
    new = source(
        subscribe=[
            SubscribeEntry(instruments=["NSE:INFY", 408065], mode="full"),
            SubscribeEntry(instruments=["NSE:TCS"], mode="ltp"),
        ]
    )
    step = the_step(old, new)
    assert step.verb == "change"
    assert step.data()["differences"] == [
        {
            "option": "subscribe",
            "reload": "live",
            "added": ["408065 full", "NSE:TCS ltp"],
            "removed": ["NSE:TCS full"],
        }
    ]


def test_what_a_sink_is_given_changes_in_place() -> None:
    step = the_step(sink(), sink(instruments=["NSE:INFY"]))
    assert step.verb == "change"
    assert step.data()["differences"][0] | {} == {
        "option": "instruments",
        "reload": "live",
        "added": ["NSE:INFY"],
        "removed": [],
    }


def test_differences_are_found_inside_options() -> None:
    step = the_step(
        sink(),
        sink(tls=TlsOptions(verify=False), batch=BatchSettings(max_ticks=5), extra={"a": [1], "token": "t"}),
    )
    assert step.data()["differences"] == [
        {"option": "batch.max_ticks", "reload": "unit", "old": 10_000, "new": 5},
        {"option": "tls.verify", "reload": "unit", "old": True, "new": False},
        {"option": "extra", "reload": "live", "old": {}, "new": {"a": [1], "token": "***"}},
    ]


def test_an_option_of_class_daemon_keeps_the_unit_and_is_named() -> None:
    made = plan(settings(source()), settings(source(node=2, tls=TlsOptions(ca="x"))))
    assert [step.verb for step in made.steps] == ["keep"]
    assert made.changes
    assert [one.option for one in made.needs_restart] == ["sources.feed.node", "sources.feed.tls.ca"]


def test_settings_of_the_daemon_are_live_or_need_a_restart() -> None:
    old = settings(source())
    new = settings(
        source(),
        extensions=["watcher"],
        state=StateSettings(dir=Path("/elsewhere")),
        log=LogSettings(level="debug", format="json"),
        limits=LimitSettings(drain="1s"),
    )
    data = plan(old, new).data()
    assert [step["verb"] for step in data["steps"]] == ["keep"]
    assert data["settings"] == [
        {"option": "log.level", "reload": "live", "old": "info", "new": "debug"},
        {"option": "limits.drain", "reload": "live", "old": "20s", "new": "1s"},
    ]
    assert data["needs_restart"] == [
        {"option": "extensions", "reload": "daemon", "added": ["watcher"], "removed": []},
        {"option": "state.dir", "reload": "daemon", "old": "/var/lib/tickerd", "new": "/elsewhere"},
        {"option": "log.format", "reload": "daemon", "old": "auto", "new": "json"},
    ]


class MoreSettings(Settings):
    journal: str = option("on", doc="A setting outside of units that forgot its reload class.")


def test_a_setting_outside_of_units_that_is_not_live_needs_a_restart() -> None:
    old, new = MoreSettings(sources={}), MoreSettings(sources={}, journal="off")
    assert plan(old, new).settings == (Difference("journal", "daemon", "on", "off"),)


class DoorOptions(Options):
    salt: Secret | None = option(None, doc="A secret.")
    token: str = option("", doc="A secret whose type does not say so.")
    realm: str = option("here", doc="A text.")
    burst: int = option(1, doc="A number.", reload="live")


class Keys(Authenticator):
    Options: ClassVar[type[Options]] = DoorOptions

    def __init__(self, options: Any, ctx: Any) -> None: ...

    async def check(self, request: Any) -> None: ...


class OtherKeys(Keys): ...


class Gcra(RateLimiter):
    Options: ClassVar[type[Options]] = DoorOptions

    def __init__(self, options: Any) -> None: ...

    def hit(self, key: str, rate: Any, cost: int, now: float) -> Decision:
        raise NotImplementedError


def auth(name: str = "keys", kind: type[Authenticator] = Keys, **own: Any) -> dict[str, AuthSettings]:
    return {name: AuthSettings(name=name, use=kind.__name__, type=kind, options=DoorOptions(**own))}


def limit(name: str, rate: str, **own: Any) -> dict[str, RateLimitSettings]:
    return {
        name: RateLimitSettings.model_validate(
            {"name": name, "use": "Gcra", "type": Gcra, "options": DoorOptions(**own), "rate": rate}
        )
    }


def of_the_daemon(old: dict[str, Any], new: dict[str, Any], secret: Any = ()) -> dict[str, Any]:
    made = plan(settings(source(), **old), settings(source(), **new), secret)
    assert made.reversed() == plan(settings(source(), **new), settings(source(), **old), secret)
    return made.data()


def test_who_may_connect_changes_in_place_whatever_the_plugin_says() -> None:
    data = of_the_daemon({"auth": auth()}, {"auth": auth(realm="there", burst=2)})
    assert data["needs_restart"] == []
    assert data["settings"] == [
        {"option": "auth.keys.realm", "reload": "live", "old": "here", "new": "there"},
        {"option": "auth.keys.burst", "reload": "live", "old": 1, "new": 2},
    ]


def test_an_authenticator_that_comes_or_goes_is_told_by_its_plugin() -> None:
    data = of_the_daemon({"auth": auth("a", salt="hunter2")}, {"auth": auth("b", token="hunter2")})
    assert data["settings"] == [
        {"option": "auth.a", "reload": "live", "old": "Keys", "new": None},
        {"option": "auth.b", "reload": "live", "old": None, "new": "Keys"},
    ]
    data = of_the_daemon({"auth": auth()}, {"auth": auth(kind=OtherKeys, realm="x")})
    assert data["settings"] == [
        {"option": "auth.keys.use", "reload": "live", "old": "Keys", "new": "OtherKeys"}
    ]


def test_secrets_of_authenticators_do_not_show() -> None:
    new = {"auth": auth(salt="hunter2", token="hunter3", realm="hunter4")}
    data = of_the_daemon({"auth": auth()}, new, {("auth", "keys", "realm")})
    assert "hunter" not in json.dumps(data)
    assert [one["option"] for one in data["settings"]] == [
        "auth.keys.salt",
        "auth.keys.token",
        "auth.keys.realm",
    ]


def test_limits_change_in_place() -> None:
    data = of_the_daemon(
        {"rate_limits": limit("orders", "1/hour")}, {"rate_limits": limit("orders", "2/hour", burst=3)}
    )
    assert data["settings"] == [
        {"option": "rate_limits.orders.rate", "reload": "live", "old": "1/hour", "new": "2/hour"},
        {"option": "rate_limits.orders.burst", "reload": "live", "old": 1, "new": 3},
    ]


def test_listeners_need_a_restart_and_what_is_asked_there_does_not() -> None:
    old = ControlSettings.model_validate({"listen": ["unix:/a"], "auth": ["keys"]})
    entry = {"address": "127.0.0.1:1", "auth": ["keys"], "tls": {"cert": "c.pem", "key": "k.pem"}}
    new = ControlSettings.model_validate(
        {"listen": ["unix:/a", entry], "auth": ["keys", "more"], "hosts": ["a.example"]}
    )
    data = of_the_daemon({"control": old}, {"control": new})
    assert data["settings"] == [
        {"option": "control.auth", "reload": "live", "added": ["more"], "removed": []},
        {"option": "control.hosts", "reload": "live", "added": ["a.example"], "removed": []},
    ]
    (listen,) = data["needs_restart"]
    assert listen["option"] == "control.listen"
    assert [json.loads(one) for one in listen["added"]] == [entry]


def test_a_control_api_that_comes_needs_a_restart() -> None:
    data = of_the_daemon({}, {"control": ControlSettings(), "hooks": HooksSettings(listen="127.0.0.1:1")})
    assert data["settings"] == []
    control, hooks = data["needs_restart"]
    assert (control["option"], control["old"]) == ("control", None)
    assert control["new"]["listen"] == ["unix:/run/tickerd.sock"]
    assert (hooks["option"], hooks["new"]["listen"]) == ("hooks", "127.0.0.1:1")


class ServedOptions(Options):
    listen: Listen = option(("unix:/a",), doc="Where.")
    auth: Names = option((), doc="Who.", reload="live")
    auths: tuple[str, ...] = option((), doc="Sounds like a secret.")


def test_names_of_authenticators_of_a_sink_show() -> None:
    def served(**own: Any) -> SinkSettings:
        return SinkSettings(name="s", use="Out", type=Out, options=ServedOptions(**own))

    listen = [{"address": "127.0.0.1:1", "auth": ["a"]}]
    told = the_step(served(), served(auth=("keys",), listen=listen, auths=("hunter2",))).data()["differences"]
    assert told == [
        {
            "option": "listen",
            "reload": "unit",
            "added": ['{"address":"127.0.0.1:1","auth":["a"]}'],
            "removed": ["unix:/a"],
        },
        {"option": "auth", "reload": "live", "added": ["keys"], "removed": []},
        {"option": "auths", "reload": "unit", "old": "***", "new": "***"},
    ]


def test_secrets_do_not_show() -> None:
    old = settings(source(key="hunter1", url="wss://u:hunter2@a", extra={"l": ["https://u:hunter3@h"]}))
    extra = {"password": "hunter6"}
    new = settings(source(key="hunter4", url="wss://u:hunter5@a", extra=extra, auth_token="hunter7"))
    made = plan(old, new)
    told = json.dumps(made.data())
    assert "hunter" not in told
    assert "hunter" not in repr([step.differences for step in made.steps])
    assert {"option": "key", "reload": "unit", "old": "***", "new": "***"} in made.data()["steps"][0][
        "differences"
    ]


@pytest.mark.parametrize("place", [("url",), ("extra", "b", 0), ("extra",)])
def test_what_was_written_as_a_reference_does_not_show(place: tuple[str | int, ...]) -> None:
    old = settings(source())
    new = settings(source(url="hidden-url", extra={"b": ["hidden-url"]}))
    told = {
        one["option"]: one
        for one in plan(old, new, {("sources", "feed", *place)}).data()["steps"][0]["differences"]
    }
    assert told[str(place[0])]["new"] == "***"
    other = "extra" if place[0] == "url" else "url"
    assert "hidden-url" in json.dumps(told[other])


def test_a_reference_that_was_left_out_before_is_not_a_secret() -> None:
    old = settings(source(tls=TlsOptions(ca=None)))
    new = settings(source(tls=TlsOptions(ca="hidden")))
    (one,) = plan(old, new, {("sources", "feed", "tls", "ca")}).needs_restart
    assert (one.old, one.new) == (None, "***")


def test_steps_are_found_by_verb() -> None:
    made = plan(settings(source()), settings(source(), sink()))
    assert [step.name for step in made.of("add")] == ["out"]
    assert made.of("remove") == ()


UNITS = st.lists(
    st.one_of(
        st.builds(
            source,
            st.sampled_from("abc"),
            st.sampled_from([Feed, OtherFeed]),
            url=st.sampled_from(["x", "y"]),
            required=st.booleans(),
            node=st.integers(1, 2),
        ),
        st.builds(
            sink,
            st.sampled_from("abc"),
            st.sampled_from([Out, CarefulOut]),
            events=st.sampled_from([["tick"], ["gap"], ["tick", "gap"]]),
            pace=st.sampled_from(["1s", "2s"]),
        ),
    ),
    max_size=4,
).map(lambda units: settings(*units))


@given(UNITS, UNITS)
def test_the_way_back_is_the_plan_turned_round(old: Settings, new: Settings) -> None:
    assert plan(old, new).reversed() == plan(new, old)
    assert plan(old, new).reversed().reversed() == plan(old, new)


@given(UNITS)
def test_there_is_nothing_to_do_from_a_configuration_to_itself(some: Settings) -> None:
    assert not plan(some, some.model_copy(deep=True)).changes
