"""Tests of `tickerd.config.posted`: what somebody sends reads nothing, resolves nothing and imports nothing new."""

import pickle

import pytest

from tickerd.config import ConfigError, compile_posted, load, plugin_names
from tickerd.config.posted import compile_posted_sink
from tickerd.runtime.registry import Registry

PLUGINS = {"kite", "file", "gcra"}


@pytest.fixture
def told(types):
    """Compile a text that cannot be used, and return the first line of each problem."""

    def told(text, plugins=PLUGINS, **more):
        with pytest.raises(ConfigError) as caught:
            compile_posted(text if isinstance(text, bytes) else text.encode(), types, plugins, **more)
        return [problem.text().split("\n")[0] for problem in caught.value.problems]

    return told


@pytest.fixture
def opened(monkeypatch):
    """Files that were opened."""
    opened = []
    monkeypatch.setattr("pathlib.Path.open", lambda self, *args, **kwargs: opened.append(self))
    return opened


def test_what_is_right_becomes_settings(types, base, compiled):
    made = compile_posted(base.encode(), types, PLUGINS)
    assert made.settings == compiled(base).settings
    assert made.warnings == ()


def test_problems_have_their_places(told, base):
    assert told(base + "lgo: {}\n") == ["posted:3:1: lgo: unknown key (did you mean 'log'?)"]
    assert told(base + "lgo: {}\n", file="x")[0].startswith("x:3:1: lgo")


@pytest.mark.parametrize("reference", ["${env:HOME}", "${file:/etc/hostname}", "${credential:key}"])
def test_every_reference_is_a_problem_and_nothing_is_looked_up(told, opened, monkeypatch, reference):
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", "/etc")
    text = (
        f"sources: {{feed: {{use: kite, api_key: '{reference}'}}}}\nsinks: {{out: {{use: file, path: p}}}}\n"
    )
    (one,) = told(text)
    assert "sources.feed.api_key: references are not resolved in a document that was sent" in one
    assert opened == []


def test_a_reference_that_is_none_is_told_as_such(told, base):
    (one,) = told(base.replace("path: p", "path: '${nope:x}'"))
    assert "not a reference that can be resolved" in one


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("sinks: {out: {use: web}}", "sinks.out.use"),
        ("auth: {a: {use: keys}}", "auth.a.use"),
        ("rate_limits: {orders: {use: shared}}", "rate_limits.orders.use"),
        ("extensions: [audit]", "extensions[0]"),
    ],
)
def test_plugins_that_do_not_run_are_problems_and_are_not_imported(
    told, base, types, monkeypatch, text, path
):
    asked = []
    find = type(types)._find

    def watched(self, table, name):
        asked.append(name)
        return find(self, table, name)

    monkeypatch.setattr(type(types), "_find", watched)
    (one,) = told(
        base.splitlines()[0] + "\n" + "sinks: {x: {use: file, path: p}}\n" * ("sinks" not in text) + text
    )
    assert f"{path}: only plugins that the running configuration names can be checked here" in one
    assert set(asked) <= PLUGINS
    assert "kite" in asked


def test_a_plugin_that_runs_and_was_meant_is_named(told):
    (one,) = told("sources: {feed: {use: kit}}\nsinks: {x: {use: file, path: p}}\n")
    assert one.endswith("(did you mean 'kite'?)")


def test_no_calendar_is_read_but_the_one_in_force_is_known(told, types, base, write):
    path = write("holidays: [{date: 2027-01-26, exchanges: [NSE]}]\n", "cal.yaml")
    text = base + f"calendar: {{overrides: {path}}}\n"
    running = load(write(text), types, {})
    (one,) = told(text)
    assert "calendar.overrides: the file: only the one that is in force can be named here" in one
    path.unlink()
    made = compile_posted(text.encode(), types, PLUGINS, calendar=running.settings.calendar)
    assert made.settings == running.settings


def test_what_is_too_large_or_no_yaml_is_told_as_one(told):
    assert told(b"#" * (2**20 + 1)) == ["posted: is larger than 1 MiB"]
    assert len(told(b"\xff\xfe")) == len(told("a: [")) == len(told("")) == 1


def test_every_plugin_of_a_configuration_may_be_named(compiled, base):
    made = compiled(
        base + "auth: {a: {use: keys}}\nrate_limits: {orders: {use: shared}}\nextensions: [audit]\n"
    )
    assert plugin_names(made.settings) == {"kite", "file", "keys", "shared", "gcra", "audit"}


def test_arguments_and_result_can_be_sent_to_another_process():
    text = b"sources: {demo: {use: simulator}}\nsinks: {}\ncontrol: {}\nauth: {keys: {use: api_key}}\n"
    made = compile_posted(text, Registry.installed(), {"simulator", "api_key"})
    arguments = (plugin_names(made.settings), made.settings.calendar)
    assert pickle.loads(pickle.dumps((made, arguments))) == (made, arguments)


def test_one_sink_alone_is_compiled_as_in_a_file():
    made = compile_posted_sink("out", {"use": "file", "path": "x.jsonl"}, Registry.installed())
    assert (made.name, made.use, made.delivery) == ("out", "file", "durable")


def test_problems_of_one_sink_alone_have_its_paths_and_no_references_are_resolved(monkeypatch):
    monkeypatch.setenv("HUSH", "hush")
    section = {"use": "file", "path": "${env:HUSH}", "events": ["tick", "nope"], "keeep": 1}
    with pytest.raises(ConfigError) as raised:
        compile_posted_sink("out", section, Registry.installed())
    found = {problem.path: problem.text() for problem in raised.value.problems}
    assert found.keys() == {"sinks.out.path", "sinks.out.events[1]", "sinks.out.keeep"}
    assert "hush" not in str(found)


def test_a_name_that_no_sink_may_have_is_a_problem_of_one_sink_alone():
    with pytest.raises(ConfigError, match="a name is 1 to 64 letters"):
        compile_posted_sink("a b", {"use": "file", "path": "x"}, Registry.installed())
