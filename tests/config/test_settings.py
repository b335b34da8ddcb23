"""Tests of `tickerd.config.settings`."""

import pytest
from pydantic import BaseModel, TypeAdapter, ValidationError

from tickerd.config import settings
from tickerd.config.settings import (
    RetrySettings,
    Settings,
    SinkOptions,
    SinkSettings,
    SourceOptions,
    SourceSettings,
    SubscribeEntry,
)
from tickerd.plugin.selectors import InstrumentKey

MODELS = [one for one in vars(settings).values() if isinstance(one, type) and issubclass(one, BaseModel)]


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
def test_every_option_says_what_it_means_and_how_a_reload_applies_it(model):
    for name, field in model.model_fields.items():
        assert field.description, name
        assert field.json_schema_extra["reload"] in ("live", "unit", "daemon"), name


def test_the_reserved_names_are_those_of_the_design():
    assert settings.SOURCE_RESERVED == ("use", "subscribe", "required")
    assert settings.SINK_RESERVED == (
        "use", "instruments", "events", "delivery", "overflow", "buffer", "batch", "retry", "required",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("NSE:INFY", "NSE:INFY"),
        ("NSE:NIFTY 50", "NSE:NIFTY 50"),
        (408065, 408065),
        ("408065", 408065),
        ("BSE:A&B-X", "BSE:A&B-X"),
    ],
)
def test_instruments_are_symbols_or_tokens(written, value):
    assert TypeAdapter(InstrumentKey).validate_python(written) == value


@pytest.mark.parametrize(
    "written", ["INFY", "nse:INFY", "NSE:", "NSE: INFY", ":INFY", "NSE:INFY ", 0, -1, 2**32, True, 1.5, None]
)
def test_anything_else_is_no_instrument(written):
    with pytest.raises(
        ValidationError, match="expected an instrument: EXCHANGE:SYMBOL such as 'NSE:INFY', or its number"
    ):
        TypeAdapter(InstrumentKey).validate_python(written)


def test_an_instrument_that_is_written_twice_counts_once():
    assert SubscribeEntry(instruments=["NSE:A", 5, "NSE:A"]).instruments == ("NSE:A", 5)


def test_defaults_are_in_force():
    sink = SinkOptions(use="file")
    assert (sink.buffer, sink.batch.max_ticks, sink.batch.max_wait) == (16 * 2**20, 10_000, 0.1)
    assert (sink.retry.initial, sink.retry.cap, sink.required) == (1.0, 60.0, False)
    assert sink.events == (
        *("tick", "gap", "status", "market", "order", "instrument", "notice", "endpoint", "report"),
    )
    assert SourceOptions(use="kite").subscribe == ()


def test_settings_compare_by_value(types):
    def build(**log):
        kite, file = types.source("kite"), types.sink("file")
        source = SourceSettings(name="a", use="kite", type=kite, options=kite.Options(api_key="k"))
        sink = SinkSettings(name="b", use="file", type=file, options=file.Options(path="p"))
        return Settings(sources={"a": source}, sinks={"b": sink}, log=settings.LogSettings(**log))

    assert build() == build()
    assert build() == build(level="info")
    assert build() != build(level="debug")
    with pytest.raises(ValidationError):
        build().state = None


def test_a_retry_never_waits_less_than_it_began_with():
    with pytest.raises(ValidationError, match="'cap' is shorter than 'initial'"):
        RetrySettings(initial="2m")
