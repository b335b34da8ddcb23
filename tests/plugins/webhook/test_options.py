"""What can be written, and what is told of the rest."""

import pytest
from pydantic import ValidationError

from tickerd_plugins.webhook.options import WebhookOptions


def told(**changes):
    with pytest.raises(ValidationError) as error:
        make(**changes)
    return error.value.errors()[0]["msg"]


def make(**changes):
    given = {"url": "https://example.com/hook", "secret": "whsec_" + "A" * 44, **changes}
    return WebhookOptions.model_validate(given)


def test_little_is_needed():
    options = make()
    assert (options.class_, options.ordered, options.in_flight, options.interval) == ("event", False, 4, 1.0)
    assert options.target().origin == "https://example.com"


@pytest.mark.parametrize(
    "url",
    [
        "http://example.com/",
        "https://127.0.0.1/",
        "https://user:pw@example.com/",
        "https://localhost/",
        "nonsense",
    ],
)
def test_a_url_that_may_not_be_posted_to_is_refused(url):
    assert told(url=url).startswith("url: ")


def test_neither_url_nor_secret_nor_header_prints():
    options = make(url="https://example.com/t0ken", headers={"X-Key": "hidd3n"})
    for text in (repr(options), options.model_dump_json()):
        assert "t0ken" not in text
        assert "hidd3n" not in text
        assert "AAAA" not in text


def test_a_secret_must_be_one_and_the_text_says_how_to_get_it():
    assert "tickerd webhooks secret" in told(secret="hunter2")
    assert "hunter2" not in told(secret="hunter2")
    assert "24 to 64 bytes" in told(secret="whsec_AAAA")


def test_old_secrets_sign_until_a_time_that_says_its_zone():
    options = make(old_secrets=[{"secret": "whsec_" + "B" * 44, "until": "2026-07-02T09:00:00+05:30"}])
    until_ns = 1_782_963_000 * 10**9
    assert len(options.signer().live(until_ns - 1)) == 2
    assert len(options.signer().live(until_ns)) == 1
    assert "timezone" in told(old_secrets=[{"secret": "whsec_" + "B" * 44, "until": "2026-07-02T09:00:00"}])
    one = {"secret": "whsec_" + "B" * 44, "until": "2026-07-02T09:00:00Z"}
    assert "at most 2" in told(old_secrets=[one] * 3)


def test_a_condition_is_one_or_several():
    assert [str(one) for one in make(when="oi > 1").conditions()] == ["oi > 1"]
    assert len(make(when=["oi > 1", "oi < 1"]).conditions()) == 2
    assert told(when="last_price above 3").endswith("at character 12")
    assert "of class 'event'" in told(**{"when": "oi > 1", "class": "ticks"})


def test_headers_are_on_a_list_and_hold_nothing_that_could_end_them():
    options = make(headers={"Authorization": "Bearer x", "X-Tenant": "7"})
    assert set(options.headers) == {"authorization", "x-tenant"}
    for name in (
        "webhook-id",
        "host",
        "content-length",
        "content-type",
        "x y",
        "transfer-encoding",
        "user-agent",
    ):
        assert "can be set" in told(headers={name: "x"}) or "header" in told(headers={name: "x"})
    for value in ("a\r\nb: c", "a\nb", "a\0b", "\u20b9"):
        text = told(headers={"x-a": value})
        assert "control characters" in text
        assert value not in text
    assert "at most 20" in told(headers={f"x-{n}": "1" for n in range(21)})


def test_batches_come_no_more_often_than_ten_times_a_second():
    assert make(interval="100ms").interval == 0.1
    assert told(interval="99ms").startswith("a POST for each tick is refused")
    assert "60" in told(interval="2m")


def test_exceptions_are_narrow():
    rule = {"network": "192.168.1.0/24", "host": "nas.lan", "port": 8080, "http": True}
    assert make(url="http://nas.lan:8080/x", allow_private=[rule]).target().origin == "http://nas.lan:8080"
    assert told(url="http://nas.lan:8081/x", allow_private=[rule]).startswith("url: ")
    assert make(url="https://example.com:9443/", ports=[9443]).target().port == 9443
