"""The options of the kite source."""

from importlib import resources

import pytest
from pydantic import ValidationError

from tickerd_plugins.kite.options import KiteOptions


def problems(**values):
    with pytest.raises(ValidationError) as caught:
        KiteOptions(api_key="k", **values)
    return [error["msg"] for error in caught.value.errors()]


def test_the_defaults_are_the_brokers_addresses():
    options = KiteOptions(api_key="k")
    assert options.ws_url == "wss://ws.kite.trade"
    assert options.rest_url == "https://api.kite.trade"
    assert (options.stale_after, options.reconnect_after) == (5, 10)


@pytest.mark.parametrize(
    "url",
    [
        "http://x",
        "ws://",
        "ws.kite.trade",
        "ws://u:p@x",
        "ws://x/?a=b",
        "ws://x#f",
        "ws://x:99999",
        "ws://[x",
    ],
)
def test_an_unusable_address_is_a_problem_that_does_not_repeat_it(url):
    (message,) = problems(ws_url=url)
    assert "expected wss://HOST or ws://HOST" in message
    assert "u:p" not in message


def test_a_path_in_the_address_is_allowed():
    assert KiteOptions(api_key="k", ws_url="ws://127.0.0.1:80/kite").ws_url.endswith("/kite")


def test_two_places_for_the_access_token_are_one_too_many():
    assert problems(access_token="a", access_token_file="/x") == [
        "give access_token or access_token_file, not both"
    ]


def test_limits_that_contradict_each_other_are_problems():
    assert problems(stale_after="5s", reconnect_after="4s") == [
        "reconnect_after must not be shorter than stale_after"
    ]
    assert problems(backoff_initial="5s", backoff_cap="1s") == [
        "backoff_cap must not be shorter than backoff_initial"
    ]


def test_secrets_do_not_print():
    options = KiteOptions(api_key="k", api_secret="hush", access_token="quiet")
    assert "hush" not in repr(options)
    assert "quiet" not in repr(options)


def test_every_option_is_documented_and_has_a_reload_class():
    for name, field in KiteOptions.model_fields.items():
        assert (field.description or "").endswith("."), name
        assert field.json_schema_extra["reload"] == "unit", name


def test_the_readme_lists_every_option_with_its_default():
    readme = resources.files("tickerd_plugins.kite").joinpath("README.md").read_text()
    for name, field in KiteOptions.model_fields.items():
        default = (
            "\N{EN DASH}"
            if field.is_required()
            else "none"
            if field.default is None
            else f"`{str(field.default).lower() if isinstance(field.default, bool) else field.default}`"
        )
        assert f"| `{name}` | {default} |" in readme, name
