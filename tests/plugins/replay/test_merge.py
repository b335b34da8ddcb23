"""Many recordings as one stream."""

import random
from pathlib import Path
from typing import Any

from tickerd.plugin import Gap
from tickerd_plugins.replay.merge import merged, survey
from tickerd_plugins.replay.recording import Recording, Tally


def recordings(*paths: Path) -> list[Recording]:
    return [Recording(path, "position", Tally()) for path in paths]


def seqs(*paths: Path) -> list[int]:
    return [item.value.seq for item in merged(recordings(*paths))]


def test_files_are_merged_by_position(record: Any, make_row: Any) -> None:
    rng = random.Random(1)
    parts: list[list[Any]] = [[], [], []]
    for n in range(1, 500):
        parts[rng.randrange(3)].append(make_row(n))
    paths = []
    for k in range(2):
        rows = [make_row(n, token=100 * k + n, symbol=f"NSE:{k}.{n}") for n in range(100)]
        paths.append(record(f"{k}.jsonl", [Gap(reason="x"), *rows]))
    found = survey(recordings(*paths), 60)
    assert len(found) == 58
    assert found[100] == "NSE:1.0"
