"""docs/configuration.md holds every option, its default and how a reload applies it; its error is the real one."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, TypeAdapter
from pydantic_core import PydanticUndefined

from tickerd.config import ConfigError, load
from tickerd.config.access import AuthOptions, ControlSettings, HooksSettings, RateLimitOptions
from tickerd.config.settings import (
    EVENT_KINDS,
    BatchSettings,
    BreakerSettings,
    CalendarOptions,
    JournalSettings,
    LimitSettings,
    LogSettings,
    RetrySettings,
    Settings,
    SinkOptions,
    SourceOptions,
    StateSettings,
    SubscribeEntry,
)
from tickerd.plugin import Address, Duration, ListenSettings, Rate, Size
from tickerd.runtime.registry import Registry

TABLES: dict[str, type[BaseModel]] = {
    "sources": SourceOptions,
    "subscribe": SubscribeEntry,
    "sinks": SinkOptions,
    "batch": BatchSettings,
    "retry": RetrySettings,
    "breaker": BreakerSettings,
    "auth": AuthOptions,
    "rate_limits": RateLimitOptions,
    "control": ControlSettings,
    "hooks": HooksSettings,
    "state": StateSettings,
    "calendar": CalendarOptions,
    "journal": JournalSettings,
    "log": LogSettings,
    "limits": LimitSettings,
}
"""Heading → the model whose options stand below it."""

NOTHING = ("none", "all", "the plugin's", "that of its class", "those of the section")
"""How a default of None is told, by what it means."""


def test_every_section_is_listed(configuration: Any) -> None:
    told = [row[0].strip("`") for row in configuration.table("Sections", "section")]
    assert told == list(Settings.model_fields)


@pytest.mark.parametrize("heading", TABLES)
def test_every_option_is_listed_with_its_default_and_reload_class(configuration: Any, heading: str) -> None:
    fields = TABLES[heading].model_fields
    rows = {row[0].strip("`"): row for row in configuration.table(heading, "option")}
    assert list(rows) == list(fields)
    for name, field in fields.items():
        _, default, reload, meaning = rows[name]
        assert isinstance(field.json_schema_extra, dict)
        assert reload == field.json_schema_extra["reload"], name
        assert default == told(field.default, default), name
        assert meaning


def test_every_option_of_a_listener_is_listed_with_its_default(configuration: Any) -> None:
    """How a reload applies them is up to what listens."""
    fields = ListenSettings.model_fields
    rows = {row[0].strip("`"): row for row in configuration.table("listen", "option")}
    assert list(rows) == list(fields)
    for name, field in fields.items():
        _, default, meaning = rows[name]
        assert default == told(field.default, default), name
        assert meaning


def told(default: Any, written: str) -> str:
    """A default as the table writes it; ``written`` where several words are right."""
    if default is PydanticUndefined:
        return "required"
    if default is None or default == EVENT_KINDS:
        assert written in NOTHING
        return written
    if isinstance(default, BaseModel):
        return "see below"
    if default and isinstance(default, tuple) and isinstance(default[0], ListenSettings):
        return f"`{default[0].address}`"
    if isinstance(default, bool):
        return f"`{str(default).lower()}`"
    return "`[]`" if default == () else f"`{default}`"


def test_the_kinds_of_events_are_listed(configuration: Any) -> None:
    assert f"any of {', '.join(f'`{kind}`' for kind in EVENT_KINDS)}." in configuration.text.replace(
        "\n", " "
    )


def test_the_units_are_those_that_are_understood(configuration: Any) -> None:
    durations, sizes = configuration.section("Values").split("**Sizes**")
    for section, kind in ((durations, Duration), (sizes.split("**Instruments**")[0], Size)):
        units = section.split("Units:")[1].split("`")[1::2]
        assert len(units) > 8
        for unit in units:
            assert TypeAdapter(kind).validate_python(f"2 {unit}") > 0


def test_the_addresses_and_rates_that_are_shown_are_understood(configuration: Any) -> None:
    addresses, rest = configuration.section("Values").split("**Addresses**")[1].split("**Rates**")
    shown = addresses.split("working directory:")[1].split("`")[1::2]
    assert len(shown) == 4
    assert [TypeAdapter(Address).validate_python(one) for one in shown] == shown
    for period in rest.split("**Names**")[0].split(", per ")[1].split("`")[1::2]:
        assert str(Rate.parse(f"10/{period}")) == f"10/{period}"


def test_the_error_that_is_shown_is_the_real_one(
    configuration: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blocks = list(configuration.blocks())
    (index,) = [n for n, block in enumerate(blocks) if block.is_wrong]
    monkeypatch.chdir(tmp_path)
    Path("tickerd.yaml").write_text(blocks[index].text)

    with pytest.raises(ConfigError) as caught:
        load(Path("tickerd.yaml"), Registry.installed(), {})

    assert str(caught.value) + "\n" == blocks[index + 1].text
