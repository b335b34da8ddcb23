"""Paths from templates: what they name, and that nothing leaves the root."""

import itertools
import os
import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tickerd_plugins.file.template import format_of, parse, safe_exchange, safe_symbol

anything = st.text(max_size=300)
hostile = st.sampled_from(
    ["", ".", "..", "../..", "/", "a/b", "..%2f..", "\0", "a\0b", "\n", "_control", "_", "%2E", "~", " ", "a ", ".x",
     "NSE:INFY", "NSE:../../etc/passwd", "NSE:", ":", "::", "é", "é", "\ud800", "x" * 64, "x" * 65, "x" * 5000]
)  # fmt: skip


@given(anything | hostile)
@example("..")
def test_a_value_is_one_harmless_part_of_a_name(value: str) -> None:
    for text in (safe_symbol(value), safe_exchange(value)):
        assert 0 < len(text) <= 64
        assert re.fullmatch(r"[A-Za-z0-9_&+=@,()% ~-]+", text)
        assert text not in {".", ".."}
        assert text == text.strip()
        assert text == "_" or not text.startswith("_")


@given(anything | hostile, anything | hostile)
def test_different_values_stay_different(one: str, two: str) -> None:
    assert (safe_symbol(one) == safe_symbol(two)) == (one == two)
    assert (safe_exchange(one) == safe_exchange(two)) == (one == two)


def test_hostile_values_all_differ() -> None:
    values = ["", ".", "..", "/", "_", "__", "%", "%2F", "~", "x" * 65, "x" * 66, " ", "a", " a", "a "]
    for one, two in itertools.combinations(values, 2):
        assert safe_symbol(one) != safe_symbol(two)


TEMPLATES = [
    "{date}/{exchange}/{symbol}.jsonl", "{symbol}.csv", "{exchange}-{symbol}.{date}.jsonl.gz", "a/{symbol}_{exchange}",
    "all.jsonl", "/abs/{date}.{exchange}.jsonl", "{exchange}{date}{symbol}.jsonl",
]  # fmt: skip


@pytest.mark.parametrize("path", TEMPLATES)
@given(symbol=st.none() | anything | hostile, number=st.integers(0, 10**6))
def test_no_symbol_leads_out_of_the_root(path: str, symbol: str | None, number: int) -> None:
    template = parse(path, ".zst")
    stem = (
        template.name("2025-01-02", symbol, 7)
        if template.by_instrument
        else template.shared_name("2025-01-02")
    )
    made = template.path(stem, number)
    assert os.path.normpath(made) == made
    assert not made.startswith(("/", ".."))
    assert all(len(part.encode()) <= 255 for part in made.split("/"))
    assert len(made.split("/")) == len(template.path(template.stem, 0).split("/"))
    found = template.pattern().fullmatch(made)
    assert found is not None
    assert found["date"] == "2025-01-02"


@pytest.mark.parametrize("path", [path for path in TEMPLATES if "{symbol}" in path])
@given(one=anything | hostile, two=anything | hostile)
@example("NSE:A-B", "NSE-A:B")
@example("NSE:INFY", "BSE:INFY")
@example("A.1", "A")
def test_different_instruments_have_different_files(path: str, one: str, two: str) -> None:
    template = parse(path)
    first, second = (template.name("2025-01-02", symbol, 1) for symbol in (one, two))
    # without a colon there is no exchange: ":X" and "X" are the same instrument to a path with both parts
    if one.partition(":")[1] and two.partition(":")[1]:
        assert (first == second) == (one == two)
        assert template.path(first, 1) != template.path(second, 0)


@pytest.mark.parametrize(
    ("path", "root", "stem", "ext"),
    [
        ("ticks/{date}/{exchange}.jsonl", "ticks/", "{date}/{exchange}", ".jsonl"),
        ("ticks/day-{date}.csv", "ticks/", "day-{date}", ".csv"),
        ("ticks/all.jsonl", "ticks/", "all.{date}", ".jsonl"),
        ("all.jsonl", ".", "all.{date}", ".jsonl"),
        ("/var/lib/x/{symbol}.jsonl.zst", "/var/lib/x/", "{symbol}.{date}", ".jsonl"),
        ("../up/{date}", "../up/", "{date}", ""),
        ("a/{date}/b.c/{symbol}", "a/", "{date}/b.c/{symbol}", ""),
        ("{exchange}.ticks.json", ".", "{exchange}.ticks.{date}", ".json"),
        ("x/.hidden", "x/", ".hidden.{date}", ""),
    ],
)
def test_a_path_is_taken_apart(path: str, root: str, stem: str, ext: str) -> None:
    template = parse(path)
    assert (template.root, template.stem, template.ext) == (root, stem, ext)


@pytest.mark.parametrize(
    ("path", "control"),
    [
        ("ticks/{date}/{exchange}.csv", "2025-01-02/_control.jsonl.gz"),
        ("ticks/{exchange}/{symbol}.csv", "_control/_control.2025-01-02.jsonl.gz"),
        ("ticks/all.csv", "all.2025-01-02.control.jsonl.gz"),
    ],
)
def test_control_records_have_a_file_beside(path: str, control: str) -> None:
    template = parse(path, ".gz").control()
    assert template.path(template.shared_name("2025-01-02"), 0) == control
    assert template.pattern().fullmatch(control)


def test_instruments_without_a_symbol_are_kept_apart_by_token() -> None:
    template = parse("{exchange}/{symbol}.jsonl")
    assert template.name("d", None, 42) == "_unknown/_42.d"
    assert template.name("d", "ODD", 42) == "_unknown/ODD.d"


@pytest.mark.parametrize(
    ("path", "problem"),
    [
        ("", "must name a file"),
        ("ticks/", "must name a file"),
        ("a\nb", "control character"),
        ("{dat}.jsonl", "unknown placeholder"),
        ("{}.jsonl", "unknown placeholder"),
        ("{date.jsonl", "a brace"),
        ("date}.jsonl", "a brace"),
        ("{exchange}{symbol}.jsonl", "between them"),
        ("{symbol}A{exchange}.jsonl", "between them"),
        ("a/{date}/../x.jsonl", "'..'"),
        ("a/{date}//x.jsonl", "empty"),
        ("..", "'..'"),
        ("{symbol}" + "x" * 200, "255 bytes"),
    ],
)
def test_a_wrong_path_is_told_without_repeating_it(path: str, problem: str) -> None:
    with pytest.raises(ValueError, match=re.escape(problem)):
        parse(path)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("a.jsonl", "jsonl"),
        ("a.ndjson.gz", "jsonl"),
        ("a.csv.zst", "csv"),
        ("a.txt", None),
        ("{symbol}", None),
    ],
)
def test_the_extension_says_the_format(path: str, expected: str | None) -> None:
    assert format_of(path) == expected


def test_only_files_of_the_template_match_its_pattern() -> None:
    pattern = parse("t/{date}/{exchange}.jsonl").pattern()
    assert pattern.fullmatch("2025-01-02/NSE.12.jsonl.zst")
    for other in (
        "2025-01-02/NSE.txt",
        "NSE.jsonl",
        "2025-01-02/x/NSE.jsonl",
        "2025-01-02/N.S.jsonl",
        "20250102/NSE.jsonl",
    ):
        assert not pattern.fullmatch(other)
