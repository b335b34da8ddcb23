"""Options: quantities with units, secrets that do not print, and models that are values."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from tickerd.plugin import Duration, Options, Secret, Size, option

duration = TypeAdapter[float](Duration)
size = TypeAdapter[int](Size)


class Sample(Options):
    wait: Duration = option("30s", doc="How long.", reload="live", gt=0)
    room: Size = option("16MiB", doc="How much.")
    key: Secret = option("s3cret", doc="A key.")


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        ("200ms", 0.2), ("30s", 30), ("1 second", 1), ("1.5 seconds", 1.5), ("5m", 300), ("5min", 300),
        ("1 minute", 60), ("2 minutes", 120), ("2h", 7200), ("1 hour", 3600), ("3 hours", 10800),
        ("7 days", 604800), ("1d", 86400), ("1 day", 86400), (" 3s ", 3), ("0s", 0), (0, 0), (0.0, 0),
    ],
)  # fmt: skip
def test_durations_are_seconds(written: object, seconds: float) -> None:
    assert duration.validate_python(written) == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("written", "count"),
    [
        ("512B", 512), ("64KiB", 65536), ("16MiB", 2**24), ("1GiB", 2**30), ("1TiB", 2**40), ("1KB", 1000),
        ("500MB", 500_000_000), ("2GB", 2_000_000_000), ("1TB", 10**12), ("1.5KiB", 1536), (0, 0),
    ],
)  # fmt: skip
def test_sizes_are_bytes(written: object, count: int) -> None:
    assert size.validate_python(written) == count


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("5 banana", "unknown unit; a duration ends in ms, s, m, h or days"),
        ("5", "unknown unit; a duration ends in ms, s, m, h or days"),
        (5, "a duration needs a unit: write it as '30s'"),
        ("soon", "expected a duration such as '30s'"),
        ("-5s", "expected a duration such as '30s'"),
        ("1e3s", "expected a duration such as '30s'"),
        ("", "expected a duration such as '30s'"),
        (True, "expected a duration such as '30s'"),
        (None, "expected a duration such as '30s'"),
        (["5s"], "expected a duration such as '30s'"),
        ("5S", "unknown unit; a duration ends in ms, s, m, h or days"),
    ],
)
def test_what_is_no_duration_is_refused_without_repeating_it(written: object, said: str) -> None:
    with pytest.raises(ValidationError) as caught:
        duration.validate_python(written)
    assert caught.value.errors()[0]["msg"] == said


@pytest.mark.parametrize("written", ["16M", "16 MiBs", "1kb", 16, "∞MiB", "٣MiB"])
def test_what_is_no_size_is_refused(written: object) -> None:
    with pytest.raises(ValidationError, match="a size"):
        size.validate_python(written)


@given(st.text(max_size=20) | st.integers() | st.floats() | st.none())
def test_no_input_raises_anything_but_a_validation_error(written: object) -> None:
    for adapter in (duration, size):
        try:
            adapter.validate_python(written)
        except ValidationError:
            continue


def test_defaults_are_written_as_yaml_writes_them_and_validated() -> None:
    assert (Sample().wait, Sample().room) == (30.0, 2**24)


def test_constraints_see_the_number() -> None:
    with pytest.raises(ValidationError, match="greater than 0"):
        Sample(wait="0s")


def test_a_dump_for_json_can_be_read_again() -> None:
    sample = Sample(wait="90s", room="3KiB")
    dumped = sample.model_dump(mode="json", exclude={"key"})
    assert dumped == {"wait": "90s", "room": "3KiB"}
    assert Sample(**dumped) == sample


@given(st.floats(0, 1e9))
def test_every_duration_that_is_dumped_can_be_read_again(seconds: float) -> None:
    text = duration.dump_python(seconds, mode="json")
    assert duration.validate_python(text) == seconds


def test_secrets_do_not_print_and_compare_by_value() -> None:
    sample = Sample()
    assert "s3cret" not in f"{sample!r} {sample} {sample.model_dump()} {sample.model_dump_json()}"
    assert sample == Sample()
    assert sample != Sample(key="other")
    assert sample.key.get_secret_value() == "s3cret"


def test_an_error_does_not_repeat_the_input() -> None:
    with pytest.raises(ValidationError) as caught:
        Sample(key=["s3cret-in-a-list"], wait="s3cret-in-a-duration")
    assert "s3cret" not in str(caught.value)


def test_unknown_keys_are_errors_and_values_are_frozen() -> None:
    with pytest.raises(ValidationError, match="Extra inputs"):
        Sample(speed=1)
    with pytest.raises(ValidationError, match="frozen"):
        Sample().wait = 1.0  # type: ignore[misc]


def test_an_option_says_what_it_means_and_how_a_reload_applies_it() -> None:
    field = Sample.model_fields["wait"]
    assert field.description == "How long."
    assert field.json_schema_extra == {"reload": "live"}
    assert Sample.model_fields["room"].json_schema_extra == {"reload": "unit"}


def test_the_schema_tells_editors_the_pattern() -> None:
    properties = Sample.model_json_schema()["properties"]
    assert properties["wait"]["examples"] == ["30s"]
    assert properties["room"]["pattern"].startswith(r"^\s*\d+")
