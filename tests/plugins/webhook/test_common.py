"""What the class of a webhook makes of the options that every sink has."""

import pytest

from tickerd.config import ConfigError, compile_settings, parse_document
from tickerd.runtime.registry import Registry

SECRET = "whsec_" + "A" * 44


def compiled(text, journal="on"):
    yaml = (
        "sources: {s: {use: replay, paths: [x.jsonl]}}\n"
        f"sinks: {{w: {{use: webhook, url: 'https://example.com/h', secret: {SECRET}, {text}}}}}\n"
    )
    if journal == "off":
        yaml += "journal: off\n"
    return compile_settings(parse_document(yaml.encode()), Registry.installed(), {})


def sink(text, **more):
    return compiled(text, **more).settings.sinks["w"]


def problem(text):
    with pytest.raises(ConfigError) as error:
        compiled(text)
    (found,) = error.value.problems
    return found.text()


def test_events_are_durable_and_tried_for_more_than_a_day():
    found = sink("")
    assert found.delivery == "durable"
    assert found.events == ("gap", "status", "market", "order", "endpoint")
    assert sum(found.retry.schedule) == pytest.approx(27.6 * 3600, rel=0.01)
    assert len(found.retry.schedule) == 9
    assert (found.retry.timeout, found.retry.breaker.failures) == (15, 5)


def test_what_is_written_counts():
    text = "events: [order], retry: {schedule: [0s, 1s], jitter: 0, breaker: {failures: 9}}, batch: {max_wait: 1s}"
    found = sink(text)
    assert found.events == ("order",)
    assert (found.retry.schedule, found.retry.jitter, found.retry.timeout) == ((0, 1), 0, 15)
    assert (found.retry.breaker.failures, found.batch.max_wait) == (9, 1)


def test_without_a_journal_events_are_live_with_a_warning():
    found = compiled("", journal="off")
    assert found.settings.sinks["w"].delivery == "live"
    assert "the journal is off" in found.warnings[0].text()


def test_a_post_for_each_tick_is_refused_with_the_reason():
    text = problem("events: [tick, gap]")
    assert "sinks.w.events" in text
    assert "a POST for each tick is refused" in text
    assert "class: ticks" in text


def test_alerts_add_the_ticks_of_their_instruments():
    found = sink("when: oi > 1, instruments: ['NSE:INFY'], events: [order]")
    assert found.events == ("tick", "order")
    assert "sinks.w.instruments" in problem("when: oi > 1")


def test_ticks_are_live_conflated_and_short_lived():
    found = sink("class: ticks, interval: 2s")
    assert (found.delivery, found.overflow, found.events) == ("live", "conflate", ("tick",))
    assert (found.batch.max_wait, found.retry.max_age) == (2, 30)
    assert found.retry.schedule == (0, 1, 5)
    assert sink("class: ticks, retry: {max_age: 5s}").retry.max_age == 5


@pytest.mark.parametrize(
    ("text", "option", "words"),
    [
        ("delivery: durable", "delivery", "worse than none"),
        ("overflow: drop_oldest", "overflow", "a POST for each tick is refused"),
        ("batch: {max_ticks: 1}", "batch.max_ticks", "a POST for each tick is refused"),
        ("batch: {max_wait: 1s}", "batch.max_wait", "interval"),
        ("events: [tick, gap]", "events", "ticks alone"),
    ],
)
def test_what_does_not_go_with_ticks_is_refused_at_its_place(text, option, words):
    found = problem(f"class: ticks, {text}")
    assert f"sinks.w.{option}" in found
    assert words in found
