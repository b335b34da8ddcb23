"""The file sink's options."""

import pytest
from pydantic import ValidationError

from tickerd_plugins.file.options import FileOptions


def test_format_and_compression_follow_the_extension() -> None:
    options = FileOptions(path="ticks/{date}.csv.zst")
    assert (options.format, options.compression) == ("csv", "zstd")
    assert options.template().ext == ".csv.zst"
    assert FileOptions(path="x.jsonl").compression == "none"
    assert FileOptions(path="x.jsonl.gz", compress="none").template().ext == ".jsonl"
    assert FileOptions(path="x", format="csv").format == "csv"


def test_ages_and_sizes_have_units() -> None:
    options = FileOptions.model_validate(
        {"path": "x.csv", "keep": "30 days", "max_size": "1GiB", "rotate_size": "5MB"}
    )
    assert (options.keep, options.max_size, options.rotate_size) == (30 * 86400.0, 2**30, 5_000_000)


@pytest.mark.parametrize(
    ("options", "where", "problem"),
    [
        ({"path": "{day}.jsonl"}, "path", "unknown placeholder; there are {date}, {exchange} and {symbol}"),
        ({"path": "x"}, "format", "say jsonl or csv: the path ends in neither .jsonl nor .csv"),
        ({"path": "x.jsonl", "keep": 0}, "keep", "Input should be greater than 0"),
        ({"path": "x.jsonl", "rotate_size": "0B"}, "rotate_size", "Input should be greater than 0"),
        ({"path": "x.jsonl", "compress": "rar"}, "compress", "Input should be 'none', 'gzip' or 'zstd'"),
        ({"path": "x.jsonl", "other": 1}, "other", "Extra inputs are not permitted"),
        ({}, "path", "Field required"),
    ],
)
def test_a_wrong_option_is_named(options: dict[str, object], where: str, problem: str) -> None:
    with pytest.raises(ValidationError) as caught:
        FileOptions.model_validate(options)
    assert [(error["loc"], error["msg"]) for error in caught.value.errors()] == [((where,), problem)]
