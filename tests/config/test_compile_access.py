"""Tests of `tickerd.config.compile_access`: who may connect where, from the YAML to the settings."""

import pytest

from tickerd.config import ConfigError, PluginProblem, compile_settings, parse_document
from tickerd.plugin import RATE_CLASSES, Rate

AUTH = "auth: {mine: {use: keys}}\n"
TLS = "tls: {cert: c.pem, key: k.pem}"


def serving(options: str) -> str:
    return f"sinks: {{out: {{use: file, path: p}}, stream: {{use: served, {options}}}}}\n"


FEED = "sources: {feed: {use: kite, api_key: k}}\n"


def test_without_the_sections_nothing_listens_and_every_class_has_its_default(compiled, base):
    made = compiled(base).settings
    assert (made.auth, made.control, made.hooks) == ({}, None, None)
    assert {name: limit.rate for name, limit in made.rate_limits.items()} == {
        name: default.rate for name, default in RATE_CLASSES.items()
    }


@pytest.mark.parametrize("text", ["control:\n", "control: {}\n"])
def test_an_empty_section_is_the_unix_socket(compiled, base, text):
    (entry,) = compiled(base + text).settings.control.listen
    assert entry.address == "unix:/run/tickerd.sock"


@pytest.mark.parametrize("text", ["control: off\n", "control: false\n", "hooks: off\n", "hooks:\n"])
def test_a_section_can_be_switched_off(compiled, base, text):
    made = compiled(base + text).settings
    assert (made.control, made.hooks) == (None, None)


def test_authenticators_are_made_from_their_plugins(compiled, types, base):
    made = compiled(base + "auth: {mine: {use: keys, realm: there}}\n").settings.auth["mine"]
    assert (made.name, made.use, made.type) == ("mine", "keys", types.authenticators["keys"])
    assert made.options.realm == "there"


def test_limits_are_what_the_file_says_and_the_default_where_it_says_nothing(compiled, base):
    text = "rate_limits: {orders: {rate: 1/hour, burst: 3}, reads: {use: shared}, units: }\n"
    limits = compiled(base + text).settings.rate_limits
    assert list(limits) == list(RATE_CLASSES)
    orders, reads = limits["orders"], limits["reads"]
    assert (orders.use, orders.rate, orders.options.burst, orders.name) == (
        "gcra",
        Rate(1, 3600),
        3,
        "orders",
    )
    assert (reads.use, reads.rate) == ("shared", RATE_CLASSES["reads"].rate)
    assert limits["units"] == compiled(base).settings.rate_limits["units"]


def test_everything_that_listens_may_stand_side_by_side(compiled):
    text = (
        FEED
        + serving("listen: '127.0.0.1:7800', auth: [mine]")
        + AUTH
        + "control: {listen: ['unix:run/tickerd.sock', '127.0.0.1:7801'], auth: [mine]}\n"
        + f"hooks: {{listen: '0.0.0.0:443', {TLS}}}\n"
    )
    made = compiled(text)
    assert made.warnings == ()
    assert made.settings.hooks.listen == "0.0.0.0:443"
    assert [entry.address for entry in made.settings.control.listen] == [
        "unix:run/tickerd.sock",
        "127.0.0.1:7801",
    ]


NEEDS_AUTH = "everybody who reaches this address could use it: a TCP listener needs 'auth'"
READABLE = "others can reach this address, and without TLS they can read the keys and logins that pass"


@pytest.mark.parametrize(
    ("text", "path", "message"),
    [
        ("auth: {mine: {use: keyz}}", "auth.mine.use", "no plugin 'keyz' is installed"),
        ("auth: {mine: {}}", "auth.mine.use", "required key is missing"),
        ("auth: {mine: {use: keys, relm: x}}", "auth.mine.relm", "unknown key"),
        ("auth: {-mine: {use: keys}}", "auth.-mine", "a name is 1 to 64 letters"),
        ("auth: [keys]", "auth", "expected a mapping of names to options"),
        ("rate_limits: {order: {rate: 1/hour}}", "rate_limits.order", "no such route class"),
        ("rate_limits: {orders: {rate: fast}}", "rate_limits.orders.rate", "expected a rate such as"),
        ("rate_limits: {orders: {use: file}}", "rate_limits.orders.use", "no plugin 'file' is installed"),
        ("rate_limits: {orders: {burts: 1}}", "rate_limits.orders.burts", "unknown key"),
        ("rate_limits: 5", "rate_limits", "expected a mapping"),
        ("control: {listen: ['unix:/a', '127.0.0.1:1']}", "control.listen[1]", NEEDS_AUTH),
        ("control: {listen: '127.0.0.1:1'}", "control.listen", NEEDS_AUTH),
        ("control: {listen: []}", "control.listen", "needs at least 1 item"),
        ("control: {auth: [nobody]}", "control.auth[0]", "no such authenticator"),
        ("hooks: {}", "hooks.listen", "required key is missing"),
        ("hooks: {listen: '0.0.0.0:80'}", "hooks", READABLE),
        ("hooks: {listen: 'unix:/a', " + TLS + "}", "hooks.tls", "a Unix socket has no TLS"),
        ("control: {listen: [unix:/a, unix:/a]}", "control.listen[1]", "another listener has this address"),
        (
            "control: {listen: [unix:/a]}\nhooks: {listen: unix:/a}",
            "hooks.listen",
            "another listener has this",
        ),
    ],
)
def test_mistakes_are_told_at_their_place(heads, base, text, path, message):
    (told,) = heads(base + text + "\n")
    assert f": {path}: {message}" in told


@pytest.mark.parametrize(
    ("options", "path", "message"),
    [
        ("listen: '127.0.0.1:1'", "sinks.stream.listen", NEEDS_AUTH),
        ("listen: ['127.0.0.1:1'], auth: []", "sinks.stream.listen[0]", NEEDS_AUTH),
        ("listen: [unix:/a], auth: [them]", "sinks.stream.auth[0]", "no such authenticator"),
        ("listen: '0.0.0.0:1', auth: [mine]", "sinks.stream.listen", READABLE),
        ("listen: [unix:/a, unix:/c]", "sinks.stream.listen[1]", "another listener has this address already"),
    ],
)
def test_the_same_rules_hold_for_a_sink_that_listens(heads, options, path, message):
    (told,) = heads(FEED + serving(options) + AUTH + "control: {listen: [unix:/c]}\n")
    assert f": {path}: {message}" in told


def test_a_source_that_listens_is_held_to_them_too(types, base):
    class Pushed(types.sources["kite"]):
        Options = types.sinks["served"].Options

    types.sources["pushed"] = Pushed
    text = base + "control: {listen: unix:/a}\n"
    text = text.replace("use: kite, api_key: k", "use: pushed, listen: ['127.0.0.1:1', unix:/a]")
    with pytest.raises(ConfigError) as caught:
        compile_settings(parse_document(text.encode()), types, {})
    assert [(one.path, one.message) for one in caught.value.problems] == [
        ("sources.feed.listen[0]", NEEDS_AUTH),
        ("sources.feed.listen[1]", "another listener has this address already"),
    ]


def test_the_one_who_has_the_address_is_named(heads, base):
    (told,) = heads(base + "control: {listen: [unix:/a]}\nhooks: {listen: unix:/a}\n")
    assert told.endswith("(it is that of control.listen[0])")


def test_a_class_that_was_meant_is_named(heads, base):
    (told,) = heads(base + "rate_limits: {subscription: {rate: 1/hour}}\n")
    assert "(did you mean 'subscriptions'?)" in told
    (told,) = heads(base + "rate_limits: {x: {rate: 1/hour}}\n")
    assert "there are addresses, administration, breakers" in told


def test_an_authenticator_that_cannot_be_used_is_told_once(heads, base):
    (told,) = heads(base + "auth: {mine: {use: keyz}}\ncontrol: {auth: [mine]}\n")
    assert "auth.mine.use" in told


def test_names_of_authenticators_show_and_their_secrets_do_not(problems, base):
    (told,) = problems(base + "control: {auth: [nobody]}\n")
    assert "control: {auth: [nobody]}" in told
    (told,) = problems(base + "auth: {mine: {use: keys, salt: hunter2, realm: 5}}\n")
    assert "hunter2" not in told
    assert "realm: 5" in told
    (told,) = problems(base + "rate_limits: {x: {rate: hunter2}}\n")
    assert "hunter2" not in told


def test_the_name_of_a_plugin_cannot_be_a_reference(heads, base):
    (told,) = heads(base + "auth: {mine: {use: '${env:A}'}}\n", {"A": "keys"})
    assert "a plugin's name cannot be a reference" in told


def test_without_the_bundled_limiter_there_is_a_problem_and_no_crash(heads, base, types, monkeypatch):
    def gone(self, name):
        raise PluginProblem("no plugin 'gcra' is installed")

    monkeypatch.setattr(type(types), "rate_limiter", gone)
    (told,) = heads(base)
    assert "rate_limits: route classes that are left out cannot be limited: no plugin 'gcra'" in told
