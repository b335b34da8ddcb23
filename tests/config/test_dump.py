"""Tests of `tickerd.config.dump`."""

from tickerd.config.dump import dump
from tickerd.config.settings import Settings


def test_everything_in_force_is_shown_and_no_secret(compiled):
    made = compiled(
        "sources: {feed: {use: kite, api_key: hunter2, port: '${env:P}', logins: [{user: a, pin: hunter2}]}}\n"
        "sinks: {out: {use: file, path: 'x/${env:S}', instruments: [5, 'NSE:A']}}\n",
        {"P": "7", "S": "hunter2"},
    )
    shown = dump(made.settings, made.secret)
    assert "hunter2" not in str(shown)
    assert list(shown) == list(Settings.model_fields)
    feed = shown["sources"]["feed"]
    assert next(iter(feed)) == "use"
    assert (feed["port"], feed["api_key"], feed["speed"], feed["pause"]) == ("***", "***", 1.0, "1s")
    assert feed["logins"] == [{"user": "a", "pin": "***"}]
    out = shown["sinks"]["out"]
    assert (out["path"], out["instruments"], out["delivery"], out["keep"]) == (
        "***",
        [5, "NSE:A"],
        "durable",
        None,
    )
    assert out["buffer"] == "16MiB"
    assert shown["limits"]["drain"] == "20s"
    assert "type" not in feed
    assert "options" not in out


def test_who_may_connect_is_shown_as_it_would_be_written(compiled, base):
    made = compiled(
        base.replace("sinks: {", "sinks: {stream: {use: served, listen: 'unix:s', auth: [mine]}, ")
        + "auth: {mine: {use: keys, salt: hunter2}, more: {use: keys, realm: '${env:R}'}}\n"
        + "rate_limits: {orders: {rate: 1/hour, burst: 2}}\n"
        + "control: {listen: [unix:/a, {address: '127.0.0.1:1', auth: [more]}],\n"
        + "  auth: [mine], trusted_proxies: [::1]}\n",
        {"R": "hunter2"},
    )
    shown = dump(made.settings, made.secret)
    assert "hunter2" not in str(shown)
    assert list(shown["auth"]["mine"]) == ["use", "salt", "realm"]
    assert set(shown["auth"]["mine"]["salt"]) == {"*"}
    assert shown["auth"]["more"]["realm"] == "***"
    assert shown["rate_limits"]["orders"] == {"use": "gcra", "burst": 2, "rate": "1/hour"}
    assert shown["control"] == {
        "listen": ["unix:/a", {"address": "127.0.0.1:1", "auth": ["more"]}],
        "auth": ["mine"],
        "hosts": [],
        "origins": [],
        "trusted_proxies": ["::1/128"],
    }
    assert shown["hooks"] == "off"
    assert (shown["sinks"]["stream"]["listen"], shown["sinks"]["stream"]["auth"]) == (["unix:s"], ["mine"])


def test_a_reference_among_the_names_is_not_shown(compiled, base):
    made = compiled(base + "auth: {mine: {use: keys}}\ncontrol: {auth: ['${env:A}']}\n", {"A": "mine"})
    assert dump(made.settings, made.secret)["control"]["auth"] == ["***"]
    assert dump(made.settings)["journal"]["keep"] == "7 days"


def test_what_is_switched_off_is_shown_as_off(compiled, base):
    shown = dump(compiled(base + "journal: off\n").settings)
    assert (shown["journal"], shown["control"], shown["hooks"]) == ("off", "off", "off")
