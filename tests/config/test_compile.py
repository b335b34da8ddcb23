"""Tests of `tickerd.config.compile`: from a YAML file to settings."""

import subprocess
import sys
import time

import pytest

from tickerd.config import JournalSettings, PluginProblem, compile_settings, parse_document
from tickerd.plugin import Secret

BASE = "sources: {feed: {use: kite, api_key: k}}\nsinks: {out: {use: file, path: p}}\n"


def test_a_file_becomes_settings(compiled, types):
    made = compiled(
        """
extensions: [audit, audit]
sources:
  feed:
    use: kite
    api_key: ${env:KEY}
    port: ${env:PORT}
    required: yes
    subscribe:
      - {instruments: ["NSE:INFY", 408065], mode: ltp}
sinks:
  archive: {use: file, path: "a/${env:KEY}", buffer: 1MiB, overflow: drop_newest, events: [tick, gap]}
  web: {use: web, instruments: ["NSE:NO"], batch: {max_ticks: 5}}
state: {dir: run/state}
log: {level: debug}
limits: {drain: 1m}
""",
        {"KEY": "hunter2", "PORT": "7"},
    )
    assert made.warnings == ()
    assert made.secret == {
        ("sources", "feed", "api_key"),
        ("sources", "feed", "port"),
        ("sinks", "archive", "path"),
    }
    assert made.secret_texts == {"hunter2", "a/hunter2"}
    assert "hunter2" not in repr(made).replace("a/hunter2", "")
    settings = made.settings
    assert settings.extensions == ("audit",)
    feed = settings.sources["feed"]
    assert (feed.name, feed.use, feed.type, feed.required) == ("feed", "kite", types.source("kite"), True)
    assert feed.options == types.source("kite").Options(api_key=Secret("hunter2"), port=7)
    assert feed.subscribe[0].instruments == ("NSE:INFY", 408065)
    archive, web = settings.sinks["archive"], settings.sinks["web"]
    assert (archive.options.path, archive.buffer, archive.overflow) == ("a/hunter2", 2**20, "drop_newest")
    assert archive.events == ("tick", "gap")
    assert (web.overflow, web.instruments, web.batch.max_ticks) == ("conflate", ("NSE:NO",), 5)
    assert (str(settings.state.dir), settings.log.level, settings.limits.drain) == (
        "run/state",
        "debug",
        60.0,
    )


def test_delivery_is_what_the_type_wants_by_default(compiled):
    made = compiled(BASE)
    assert made.settings.sinks["out"].delivery == "durable"
    assert made.settings.sinks["out"].overflow == "drop_oldest"
    assert made.warnings == ()
    assert made.settings.journal == JournalSettings()


@pytest.mark.parametrize("off", ["off", "false"])
def test_without_a_journal_a_durable_default_becomes_live_with_a_warning(compiled, off):
    made = compiled(BASE + f"journal: {off}\n")
    assert made.settings.journal is None
    assert made.settings.sinks["out"].delivery == "live"
    assert [str(warning).splitlines()[0] for warning in made.warnings] == [
        "t.yaml:2:9: sinks.out: the journal is off, so delivery is live: what this sink misses is lost"
    ]


def test_the_size_of_the_journal_may_be_a_share(compiled):
    assert compiled(BASE + "journal: {max_size: 25%}\n").settings.journal.max_size == 0.25
    assert compiled(BASE + "journal: {max_size: 2GiB}\n").settings.journal.max_size == 2**31


def test_the_same_text_compiles_to_equal_settings(compiled):
    assert compiled(BASE).settings == compiled("# other places\n" + BASE).settings
    assert compiled(BASE).settings != compiled(BASE.replace("path: p", "path: q")).settings


def test_anchors_and_merge_keys_are_as_good_as_written_out(compiled):
    text = """
sources:
  a: &a {use: kite, api_key: k, port: 3}
  b: {<<: *a, port: 4}
sinks: {out: {use: file, path: p}}
"""
    sources = compiled(text).settings.sources
    assert sources["b"].options == sources["a"].options.model_copy(update={"port": 4})


def test_every_problem_is_told_at_once_in_order_of_place(heads):
    assert heads(
        """extensions: [audt, 3]
sources:
  feed:
    use: kite
    api_kye: k
    port: x
    port: 3
    subscribe: [{instruments: [x]}]
sinks:
  a: {use: fil, path: p}
  b: {use: file, path: 3, delivery: durable, buffer: 1, batch: {max_tick: 3}}
log: {level: warn}
lgo: {}
journal: off
"""
    ) == [
        "t.yaml:1:14: extensions[0]: no plugin 'audt' is installed (did you mean 'audit'?)",
        "t.yaml:1:20: extensions[1]: expected the name of a plugin",
        "t.yaml:3:3: sources.feed.api_key: required key is missing",
        "t.yaml:5:5: sources.feed.api_kye: unknown key (did you mean 'api_key'?)",
        "t.yaml:6:11: sources.feed.port: expected a whole number",
        "t.yaml:7:5: sources.feed.port: duplicate key, first set at t.yaml:6:5",
        (
            "t.yaml:8:32: sources.feed.subscribe[0].instruments[0]: "
            "expected an instrument: EXCHANGE:SYMBOL such as 'NSE:INFY', or its number"
        ),
        "t.yaml:10:12: sinks.a.use: no plugin 'fil' is installed (did you mean 'file'?)",
        "t.yaml:11:24: sinks.b.path: expected text (put it in quotes)",
        (
            "t.yaml:11:37: sinks.b.delivery: the journal is off, so delivery cannot be durable "
            "(write 'live', or leave it out)"
        ),
        "t.yaml:11:54: sinks.b.buffer: a size needs a unit: write it as '16MiB'",
        "t.yaml:11:65: sinks.b.batch.max_tick: unknown key (did you mean 'max_ticks'?)",
        "t.yaml:12:14: log.level: expected 'debug', 'info', 'warning' or 'error' (did you mean 'warning'?)",
        "t.yaml:13:1: lgo: unknown key (did you mean 'log'?)",
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("log: {}\n", "t.yaml:1:1: sources: required key is missing"),
        ("sources:\nlog: {}\n", "t.yaml:1:1: sources: needs at least one source"),
        ("sources: {}\n", "t.yaml:1:1: sources: needs at least one source"),
        ("sources: [a]\n", "t.yaml:1:10: sources: expected a mapping of names to options"),
        ("sources: {feed: kite}\n", "t.yaml:1:17: sources.feed: expected a mapping of options"),
        ("sources: {feed: }\n", "t.yaml:1:11: sources.feed.use: required key is missing"),
        ("sources: {feed: {use: 3}}\n", "t.yaml:1:23: sources.feed.use: expected text (put it in quotes)"),
        ("sources: {feed: {use: ''}}\n", "t.yaml:1:23: sources.feed.use: needs at least 1 character"),
        (
            "sources: {a b: {use: kite, api_key: k}}\n",
            "t.yaml:1:11: sources.'a b': a name is 1 to 64 letters, digits, '_' and '-', and does not begin with '-'",
        ),
        (BASE + "log: 3\n", "t.yaml:3:6: log: expected a mapping of keys and values"),
        (BASE + "extensions: audit\n", "t.yaml:3:13: extensions: expected a list"),
        (BASE + "extensions: ['${env:A}']\n", "t.yaml:3:14: extensions[0]: a plugin's name cannot be a reference"),
        (
            BASE + "extensions: ['${env:B}']\n",
            "t.yaml:3:14: extensions[0]: the environment variable 'B' is not set",
        ),
        (
            "sources: {feed: {use: '${env:A}'}}\n",
            "t.yaml:1:23: sources.feed.use: a plugin's name cannot be a reference",
        ),
        ("sources: ${env:B}\n", "t.yaml:1:10: sources: the environment variable 'B' is not set"),
        ("sources: {feed: '${env:B}'}\n", "t.yaml:1:17: sources.feed: the environment variable 'B' is not set"),
        (BASE + "extensions: ${env:B}\n", "t.yaml:3:13: extensions: the environment variable 'B' is not set"),
        (BASE + "log: ${env:B}\n", "t.yaml:3:6: log: the environment variable 'B' is not set"),
        (
            BASE.replace("path: p", "path: '${env:B}', retry: {initial: '${env:B}'}"),
            "t.yaml:2:32: sinks.out.path: the environment variable 'B' is not set",
        ),
        (
            BASE.replace("path: p", "path: p, retry: {initial: 2m}"),
            "t.yaml:2:35: sinks.out.retry: 'cap' is shorter than 'initial'",
        ),
        (
            BASE.replace("use: file, path: p", "use: greedy"),
            "t.yaml:2:20: sinks.out.use: this plugin cannot be used: every section here has an option 'batch' already",
        ),
        (
            BASE.replace("api_key: k", "api_key: k, url: crash"),
            ("t.yaml:1:23: sources.feed.use: the plugin fails on these options with RuntimeError "
            "(this is a mistake in the plugin)"),
        ),
        (
            BASE + "journals: {keep: 7 days}\nauth: {}\n",
            "t.yaml:3:1: journals: unknown key (did you mean 'journal'?)",
        ),
    ],
)  # fmt: skip
def test_one_mistake_is_told_as_one(text, expected, heads):
    assert heads(text, {"A": "kite"})[0] == expected


@pytest.mark.parametrize(
    "text", [BASE.replace("path: p", "path: ${env:B}"), BASE + "limits: {drain: '${env:B}'}\n"]
)
def test_a_reference_that_leads_nowhere_is_told_once(text, heads):
    assert len(heads(text)) == 1


def test_a_problem_below_conf_d_is_told_there(heads, write):
    write("sinks: {b: {use: file, pth: p}}\n", "conf.d/b.yaml")
    assert heads(BASE) == [
        "conf.d/b.yaml:1:9: sinks.b.path: required key is missing",
        "conf.d/b.yaml:1:24: sinks.b.pth: unknown key (did you mean 'path'?)",
    ]


def test_no_sink_is_a_warning(compiled):
    for rest in ("", "sinks:\n", "sinks: {}\n"):
        [warning] = compiled("sources: {feed: {use: kite, api_key: k}}\n" + rest).warnings
        assert warning.message == "there is no sink: ticks go nowhere"


def test_unknown_symbols_are_warned_about_where_a_table_is_given(compiled):
    text = BASE.replace("api_key: k", "api_key: k, subscribe: [{instruments: ['NSE:INFI', 'NSE:TCS', 5]}]")
    text = text.replace("path: p", "path: p, instruments: ['BSE:ZZZ']")
    warnings = compiled(text, symbols=["NSE:INFY", "NSE:TCS"]).warnings
    assert [warning.text("warning").split("\n")[0] for warning in warnings] == [
        (
            "t.yaml:1:68: warning: sources.feed.subscribe[0].instruments[0]: "
            "no known instrument (did you mean 'NSE:INFY'?)"
        ),
        "t.yaml:2:49: warning: sinks.out.instruments[0]: no known instrument",
    ]
    assert compiled(text).warnings == ()


def test_more_instruments_than_a_source_can_carry_are_a_problem(heads, compiled, types, monkeypatch):
    monkeypatch.setattr(types.source("kite"), "capacity_of", classmethod(lambda cls, options: 2))
    text = """
sources:
  feed:
    use: kite
    api_key: k
    subscribe:
      - {instruments: ["NSE:A", "NSE:B"], mode: ltp}
      - {instruments: ["NSE:B"], mode: full}
sinks: {out: {use: file, path: p}}
"""
    assert len(compiled(text).settings.sources["feed"].subscribe) == 2
    (problem,) = heads(text.replace('"NSE:B"], mode: full', '"NSE:C"], mode: full'))
    assert problem.endswith(
        "sources.feed.subscribe: 3 instruments are listed, and this source can carry 2 "
        "(list fewer, or add a source with another login for the rest)"
    )


def test_a_plugin_that_cannot_be_used_is_a_problem_at_its_line(types, monkeypatch):
    def broken(name):
        raise PluginProblem("plugin 'kite' fails to import: ImportError: no module")

    monkeypatch.setattr(types, "source", broken)
    document = parse_document(BASE.encode(), "f")
    with pytest.raises(
        Exception, match=r"^f:1:23: sources.feed.use: plugin 'kite' fails to import: ImportError"
    ):
        compile_settings(document, types, {})


def test_a_file_of_5000_lines_takes_no_longer_for_each_line_than_a_shorter_one(compiled):
    unit = (
        "  s{}:\n    use: kite\n    api_key: k\n    subscribe:\n      - instruments:\n"
        + "          - NSE:SYM{}\n" * 20
    )

    def seconds(units):
        """Of this thread's own work, the least of several tries."""
        text = "".join(unit.replace("{}", str(n)) for n in range(units))
        tries = []
        for _ in range(3):
            began = time.thread_time()
            compiled(f"sources:\n{text}sinks: {{o: {{use: web}}}}\n")
            tries.append(time.thread_time() - began)
        return min(tries)

    assert seconds(200) < 16 * seconds(25)  # eight times the lines


def test_importing_the_configuration_imports_no_plugin():
    code = """
import sys, tickerd.config
print([m for m in sys.modules if m.startswith(("tickerd_plugins", "tickerd.runtime"))])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
