"""Tests of `tickerd.config.dump`."""

from tickerd.config.dump import dump


def test_everything_in_force_is_shown_and_no_secret(compiled):
    made = compiled(
        "sources: {feed: {use: kite, api_key: hunter2, port: '${env:P}', logins: [{user: a, pin: hunter2}]}}\n"
        "sinks: {out: {use: file, path: 'x/${env:S}', instruments: [5, 'NSE:A']}}\n",
        {"P": "7", "S": "hunter2"},
    )
    shown = dump(made.settings, made.secret)
    assert "hunter2" not in str(shown)
    assert list(shown) == ["sources", "sinks", "extensions", "state", "calendar", "journal", "log", "limits"]
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
