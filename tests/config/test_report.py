"""Tests of `tickerd.config.report`: places, and that no secret is in any text."""

import pytest

from tickerd.config import ConfigError, compile_settings, parse_document

MARK = "hunter2-is-my-secret"


def shown(text, types, env=None):
    with pytest.raises(ConfigError) as caught:
        compile_settings(parse_document(text.encode(), "f"), types, env or {})
    return "\n".join(problem.text() for problem in caught.value.problems) + repr(caught.value)


@pytest.mark.parametrize(
    "unit",
    [
        f"{{use: kite, api_key: {MARK}, prt: 3}}",
        f"{{use: kite, api_key: '{MARK}', port: x}}",
        f"{{use: kite, api_key: ['{MARK}']}}",
        f"{{use: kite, api_key: {{a: '{MARK}'}}}}",
        f"{{use: kite, api_kye: '{MARK}'}}",
        f"{{use: kite, whatever: {{deep: ['{MARK}']}}}}",
        f"{{use: kit, anything: '{MARK}', api_key: k}}",
        f"{{anything: '{MARK}', api_key: k}}",
        f"{{use: kite, api_key: a, api_key: '{MARK}'}}",
        f"{{use: kite, api_key: k, logins: [{{user: a, pin: '{MARK}', x: 1}}]}}",
        f"{{use: kite, api_key: k, port: x, url: 'https://me:{MARK}@host'}}",
        f"{{use: kite, api_key: k, prt: 3}} # {MARK}",
        f"api_key:{MARK}",
        "{use: kite, api_key: k, url: '${env:SECRET}'}",
        "{use: kite, api_key: k, port: '${env:SECRET}'}",
        "{use: kite, api_key: '${env:SECRET}', url: 'x${env:SECRET}'}",
        "{use: kite, api_key: k, code: '${env:SECRET}'}",
        "{use: '${env:SECRET}', api_key: k}",
        "\n    use: kite\n    api_key: |\n      {0}\n    prt: 3".replace("{0}", MARK),
        f'\n    use: kite\n    api_key: "a\n      {MARK}"\n    prt: 3',
    ],
)
def test_no_secret_is_shown(unit, types):
    text = f"sources:\n  feed: {unit}\n"
    assert MARK not in shown(text, types, {"SECRET": MARK})


def test_the_text_of_a_validator_is_withheld_when_it_quotes_a_secret(types):
    text = "sources: {feed: {use: kite, api_key: k, url: '${env:SECRET}'}}\n"
    out = shown(text, types, {"SECRET": MARK})
    assert "sources.feed.url: is not accepted; the reason is withheld because it may show a secret" in out


def test_the_text_of_a_validator_is_shown_when_it_quotes_none(types):
    assert "sources.feed.url: no scheme in 'plain'" in shown(
        "sources: {feed: {use: kite, api_key: k, url: plain}}\n", types
    )


def test_a_missing_key_of_a_list_item_is_told_at_the_item(types):
    text = "sources:\n  feed:\n    use: kite\n    api_key: k\n    logins:\n      - pin: x\n"
    assert "f:6:9: sources.feed.logins[0].user: required key is missing" in shown(text, types)


def test_a_problem_of_an_alias_is_told_where_the_value_is_written(types):
    text = "sources:\n  a: &a\n    use: kite\n    api_key: k\n    port: x\n  b: *a\n"
    out = shown(text, types)
    assert "f:5:11: sources.a.port: expected a whole number" in out
    assert "f:5:11: sources.b.port: expected a whole number" in out
