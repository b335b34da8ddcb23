"""Tests of `tickerd.config.origins`: where each value was written."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from tickerd.config import load

MAIN = """\
sources:
  feed:
    use: kite
    api_key: ${env:KEY}
    subscribe:
      - instruments: ["NSE:INFY"]
sinks: {out: {use: file, path: p, retry: {breaker: {}}}}
"""


def test_every_written_value_knows_its_file_and_line(tmp_path: Path, types: Any, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    Path("t.yaml").write_text(MAIN)
    Path("conf.d").mkdir()
    Path("conf.d/10.yaml").write_text(
        "# more\nsinks:\n  out:\n    buffer: 1MiB\n  two: {use: file, path: q}\n"
    )
    made = load(Path("t.yaml"), types, {"KEY": "hunter2"})
    assert made.origins == {
        "sources.feed.use": "t.yaml:3",
        "sources.feed.api_key": "t.yaml:4",
        "sources.feed.subscribe": "t.yaml:5",
        "sinks.out.use": "t.yaml:7",
        "sinks.out.path": "t.yaml:7",
        "sinks.out.retry.breaker": "t.yaml:7",
        "sinks.out.buffer": "conf.d/10.yaml:4",
        "sinks.two.use": "conf.d/10.yaml:5",
        "sinks.two.path": "conf.d/10.yaml:5",
    }


def test_what_an_anchor_brings_is_where_it_was_written(compiled: Callable[..., Any]) -> None:
    made = compiled(
        "sources: {feed: {use: kite, api_key: k}}\n"
        "sinks:\n"
        "  one: &all {use: file, path: p, buffer: 1MiB}\n"
        "  two:\n"
        "    <<: *all\n"
        "    path: q\n"
    )
    lines = {path: where.rpartition(":")[2] for path, where in made.origins.items()}
    assert (lines["sinks.two.buffer"], lines["sinks.two.path"]) == ("3", "6")


def test_two_configurations_that_differ_only_in_their_lines_are_equal(compiled: Callable[..., Any]) -> None:
    text = "sources: {feed: {use: kite, api_key: k}}\nsinks: {out: {use: file, path: p}}\n"
    assert compiled(text) == compiled(f"# a comment\n{text}")
