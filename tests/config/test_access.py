"""The sections auth, rate_limits and control: what may be written, and the rules between them."""

import pytest
from pydantic import ValidationError

from tickerd.config.access import (
    ControlSettings,
    HooksSettings,
    RateLimitSettings,
    access_faults,
    collisions,
    complete_limits,
    hooks_faults,
    listener_faults,
    listeners_in,
    serving_faults,
)
from tickerd.plugin import (
    RATE_CLASSES,
    Listen,
    ListenSettings,
    Names,
    Options,
    Rate,
    RateLimiter,
    option,
)

TLS = {"cert": "c.pem", "key": "k.pem"}


class Limiter(RateLimiter):
    class Options(Options):
        pass

    def __init__(self, options): ...

    def hit(self, key, rate, cost, now): ...


def faults(known=("keys",), **section):
    return [
        (fault.path, fault.text) for fault in access_faults(ControlSettings.model_validate(section), known)
    ]


def test_by_default_it_listens_on_a_unix_socket_alone():
    assert [entry.address for entry in ControlSettings().listen] == ["unix:/run/tickerd.sock"]
    assert faults() == []


def test_the_example_of_the_manual_is_right():
    assert faults(listen=["unix:/run/tickerd.sock", "127.0.0.1:7801"], auth=["keys"]) == []


@pytest.mark.parametrize("address", ["127.0.0.1:7801", "[::1]:7801", "localhost:7801", "0.0.0.0:1", "host:1"])
def test_every_tcp_listener_needs_auth(address):
    (found,) = [text for _, text in faults(listen=[address]) if "'auth'" in text]
    assert found == "everybody who reaches this address could use it: a TCP listener needs 'auth'"


def test_no_switch_turns_that_off():
    entry = {"address": "0.0.0.0:1", "tls": TLS, "allow_plaintext": True}
    ((path, text),) = faults(listen=[entry])
    assert path == ("listen", 0)
    assert "needs 'auth'" in text
    ((path, _),) = faults(auth=["keys"], listen=[{"address": "127.0.0.1:1", "auth": []}])
    assert path == ("listen", 0)


def test_a_listener_may_have_auth_of_its_own():
    assert faults(listen=[{"address": "127.0.0.1:1", "auth": ["keys"]}]) == []


@pytest.mark.parametrize("address", ["0.0.0.0:7801", "[::]:7801", "10.0.0.1:7801", "ticks.example.com:7801"])
def test_an_address_that_others_reach_needs_tls_or_a_word(address):
    ((path, text),) = faults(listen=["unix:/a", address], auth=["keys"])
    assert path == ("listen", 1)
    assert "without TLS they can read the keys" in text
    assert faults(listen=[{"address": address, "tls": TLS}], auth=["keys"]) == []
    assert faults(listen=[{"address": address, "allow_plaintext": True}], auth=["keys"]) == []


def test_unix_sockets_take_scopes_and_no_tls_and_tcp_the_other_way_round():
    assert faults(listen=[{"address": "unix:/a", "scopes": ["status:read"]}]) == []
    assert faults(listen=[{"address": "unix:/a", "scopes": []}]) == []
    assert [path for path, _ in faults(listen=[{"address": "unix:/a", "tls": TLS}])] == [("listen", 0, "tls")]
    entry = {"address": "127.0.0.1:1", "scopes": ["status:read"]}
    assert [path for path, _ in faults(listen=[entry], auth=["keys"])] == [("listen", 0, "scopes")]


def test_names_must_be_under_auth():
    found = faults(auth=["keys", "kesy"], listen=["unix:/a", {"address": "unix:/b", "auth": ["none"]}])
    assert found == [
        (("auth", 1), "no such authenticator"),
        (("listen", 1, "auth", 0), "no such authenticator"),
    ]
    (fault,) = access_faults(ControlSettings(auth=("x",)), ())
    assert fault.hint == "the section 'auth' has nothing"


def test_the_rules_hold_for_listeners_of_sinks_too():
    (fault,) = listener_faults(ListenSettings.model_validate("127.0.0.1:7800"), ())
    assert fault.path == ()


class Streams(Options):
    listen: Listen = option(doc="Where.")
    auth: Names = option((), doc="Who.")


class Nested(Options):
    streams: tuple[Streams, ...] = option((), doc="Further down.")
    table: dict[str, ListenSettings] = option({}, doc="By name.")
    second: ListenSettings | None = option(None, doc="One more.", alias="backup")
    auth: str = option("", doc="Not a list of names, but a word of the plugin's own.")


def test_listeners_are_found_wherever_they_stand_in_the_options():
    options = Nested.model_validate(
        {"streams": [{"listen": "unix:/a"}], "table": {"x": "127.0.0.1:1"}, "backup": "unix:/b"}
    )
    assert [(path, one.address) for path, one in listeners_in(options)] == [
        (("streams", 0, "listen", 0), "unix:/a"),
        (("table", "x"), "127.0.0.1:1"),
        (("backup",), "unix:/b"),
    ]
    (fault,) = serving_faults(
        Nested.model_validate({"table": {"x": "127.0.0.1:1"}, "auth": "keys"}), ["keys"]
    )
    assert fault.path == ("table", "x")
    assert "needs 'auth'" in fault.text


def test_options_without_a_listener_may_call_anything_auth():
    assert list(serving_faults(Nested(auth="basic"), ())) == []
    assert [fault.path for fault in serving_faults(Streams(listen="unix:/a", auth=("x",)), ())] == [
        ("auth", 0)
    ]


def test_the_listener_for_the_outside_needs_no_auth_and_grants_nobody_anything():
    hooks = HooksSettings(listen="127.0.0.1:7802")
    assert list(hooks_faults(hooks)) == []
    assert (hooks.listener.auth, hooks.listener.scopes) == ((), None)
    assert HooksSettings(listen="unix:/run/hooks.sock").listener.scopes == ()


def test_the_listener_for_the_outside_needs_tls_or_a_word():
    (fault,) = hooks_faults(HooksSettings(listen="0.0.0.0:443"))
    assert "without TLS" in fault.text
    assert list(hooks_faults(HooksSettings.model_validate({"listen": "0.0.0.0:443", "tls": TLS}))) == []
    assert list(hooks_faults(HooksSettings(listen="0.0.0.0:80", allow_plaintext=True))) == []
    (fault,) = hooks_faults(HooksSettings.model_validate({"listen": "unix:/a", "tls": TLS}))
    assert fault.path == ("tls",)


@pytest.mark.parametrize(
    ("one", "two"),
    [
        ("127.0.0.1:1", "127.0.0.1:1"), ("localhost:1", "127.0.0.1:1"), ("LOCALHOST:1", "localhost:1"),
        ("[::1]:1", "[0:0:0:0:0:0:0:1]:1"), ("0.0.0.0:1", "127.0.0.1:1"), ("10.0.0.1:1", "0.0.0.0:1"),
        ("[::]:1", "[::1]:1"), ("unix:/a", "unix:/a"), ("unix:run/a", "unix:run/./a"), ("ticks:1", "TICKS:1"),
        ("0.0.0.0:1", "ticks:1"),
    ],
)  # fmt: skip
def test_two_cannot_have_one_address(one, two):
    assert list(collisions([(("x",), "unix:/other"), (("a",), one), (("b",), two)])) == [(("b",), ("a",))]


@pytest.mark.parametrize(
    ("one", "two"),
    [
        ("127.0.0.1:1", "127.0.0.1:2"), ("127.0.0.1:1", "127.0.0.2:1"), ("127.0.0.1:1", "[::1]:1"),
        ("0.0.0.0:1", "[::]:1"), ("unix:/a", "unix:/b"), ("unix:a", "unix:/a"), ("unix:/a", "a:1"), ("a:1", "b:1"),
    ],
)  # fmt: skip
def test_addresses_that_go_together(one, two):
    assert list(collisions([(("a",), one), (("b",), two)])) == []


def test_names_are_compared_in_lower_case_and_once():
    settings = ControlSettings(hosts=("A.example", "a.example"), origins=("https://A.example",))
    assert (settings.hosts, settings.origins) == (("a.example",), ("https://a.example",))


@pytest.mark.parametrize(
    "section", [{"listen": []}, {"listne": []}, {"listen": [{"address": "unix:/a", "mode": 1}]}]
)
def test_what_is_not_an_option_is_refused(section):
    with pytest.raises(ValidationError):
        ControlSettings.model_validate(section)


def test_classes_that_are_left_out_keep_their_defaults():
    mine = RateLimitSettings(rate="1/hour", name="orders", type=Limiter, options=Limiter.Options())
    done = complete_limits({"orders": mine}, Limiter)
    assert list(done) == list(RATE_CLASSES)
    assert done["orders"] is mine
    assert (done["webhooks"].rate, done["webhooks"].type) == (Rate(20, 60), Limiter)


def test_they_compare_by_value_and_print_as_they_are_written():
    first, second = (
        ControlSettings.model_validate({"listen": ["127.0.0.1:1"], "auth": ["a"]}) for _ in range(2)
    )
    assert first == second
    shown = ControlSettings(trusted_proxies=("10.0.0.0/8",)).model_dump(mode="json")
    assert shown["trusted_proxies"] == ["10.0.0.0/8"]
    assert ControlSettings.model_json_schema()["properties"]["listen"]
