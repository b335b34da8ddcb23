"""docs/journal.md: reasons, names, figures and outputs are those of the code."""

import ast
import re
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from tickerd.cli.journal_note import note
from tickerd.cli.tap import Table
from tickerd.cli.verify import _lines
from tickerd.config.settings import JournalSettings, Settings, SourceSettings, StateSettings, SubscribeEntry
from tickerd.dataflow.redrive import LOOK_S
from tickerd.journal.audit import Epoch, Report, ToldGap
from tickerd.journal.blocks import BLOCK
from tickerd.journal.capacity import TICK_BYTES
from tickerd.journal.catalog import BAD
from tickerd.journal.files import MODE, Files, Room
from tickerd.journal.format import HEAD_SIZE, Ticks, pack_ticks
from tickerd.journal.index import INDEX, TEMPORARY, index_path
from tickerd.journal.segment import COMPRESSED, SUFFIX, Header, file_name
from tickerd.journal.writer import GROUP_S, RETRY_S
from tickerd.plugin import Batch, Position, Row, Status
from tickerd.runtime.recorder import SWEEP_S
from tickerd.state.deadletters import Caps
from tickerd.wire.kite.layout import FULL, LTP, QUOTE


def test_every_reason_of_a_gap_that_tickerd_tells_is_there_and_no_other(journal: Any, checkout: Path) -> None:
    told = {row[0].strip("`") for row in journal.table("Gaps", "reason")}
    assert told == set(_reasons(checkout / "tickerd"))


def _reasons(folder: Path) -> list[str]:
    """What stands as ``reason`` where a gap is made, or as the reason for which a batch is lost."""
    found: list[str] = []
    for path in folder.rglob("*.py"):
        if "testing" in path.parts:  # samples, of all kinds of reasons
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            match node:
                case ast.Call(func=ast.Name(id="Gap"), keywords=keywords):
                    values = [one.value for one in keywords if one.arg == "reason"]
                case ast.Call(func=ast.Attribute(attr="discard"), args=[_, reason]):
                    values = [reason]
                case ast.FunctionDef(name="_lose", args=arguments):
                    values = list(arguments.defaults)
                case _:
                    continue
            found += [text for value in values for text in _texts(value)]
    return found


def _texts(value: ast.expr) -> list[str]:
    """All that a constant, a choice of two, or their sum can be."""
    match value:
        case ast.Constant(value=str(text)):
            return [text]
        case ast.IfExp(body=body, orelse=other):
            return _texts(body) + _texts(other)
        case ast.BinOp(left=left, right=right):
            return [a + b for a in _texts(left) for b in _texts(right)]
    return []


def test_names_of_files_are_as_shown(journal: Any) -> None:
    name = file_name(Header(7, 1, 0, "2026-11-23"))
    shown = f"{name}\n{index_path(Path(name)).name}\n"
    assert shown in [block.text for block in journal.blocks()]
    told = {row[0].strip("`") for row in journal.table("Files", "ending")}
    assert told == {SUFFIX, COMPRESSED, INDEX, SUFFIX + BAD, TEMPORARY}
    assert f"mode {MODE:04o}" in journal.section("Files")
    assert f"blocks of {BLOCK >> 20} MiB" in journal.section("Files")


def test_defaults_are_those_of_the_options(journal: Any) -> None:
    defaults = {name: field.default for name, field in JournalSettings.model_fields.items()}
    (example,) = [block.text for block in journal.blocks() if "keep:" in block.text]
    assert example == "journal:\n" + "".join(
        f"  {name}: {defaults[name]}\n" for name in ("keep", "max_size", "min_free")
    )
    for name in ("sync", "segment_size", "buffer"):
        number, unit = re.findall(r"\d+|[A-Za-z]+", str(defaults[name]))
        assert f"`{name}` ({number} {unit})" in journal.text, name


def test_times_are_those_of_the_code(journal: Any) -> None:
    assert f"{GROUP_S * 1000:g} ms of the feed" in journal.text
    assert RETRY_S == 1
    assert "tried again each second" in journal.text
    assert SWEEP_S == 60
    assert "Once a minute closed segments are deleted" in journal.text
    assert f"within {LOOK_S:g} seconds" in journal.text
    caps = Caps()
    assert f"{caps.letters:,} letters\nand {caps.bytes >> 20} MiB" in journal.text


def test_sizes_are_those_of_the_format(journal: Any) -> None:
    told = {row[0]: row[1] for row in journal.table("How large it is", "what")}
    for mode, length in (("full", FULL), ("quote", QUOTE), ("ltp", LTP)):
        (row,) = [name for name in told if f"`{mode}`" in name]
        assert told[row] == str(length + 2), mode  # with the length before each packet
    read = HEAD_SIZE + len(pack_ticks(Ticks(1, 0, 0, 0, 0, 0, 0, {}, b""))) + 2
    assert told["each network read besides"] == str(read)


def test_the_arithmetic_is_right(journal: Any) -> None:
    ticks, plain, packed = 61_996, 11_746_044, 2_271_912
    for figure in (ticks, plain, packed):
        assert f"{figure:,}" in journal.text
    assert f"or {plain / ticks:.0f} for each. Compressed" in journal.text.replace("\n", " ")
    assert f"or {packed / ticks:.0f} for each: one fifth" in journal.text.replace("\n", " ")
    assert plain / ticks < TICK_BYTES, "tickerd check promises no more than fits"
    day = 9000 * 22_500
    assert f"{day:,} ticks: {day * plain / ticks / 1e9:.0f} GB a day" in journal.text


def test_the_report_of_verify_is_a_real_one(journal: Any) -> None:
    gap = ToldGap(Position(2, 202), "kite", 0, "restart", 0, 20_320_000_000, (1, 61_997), None)
    epochs = [Epoch(Position(1, 1), Position(1, 61_997)), Epoch(Position(2, 1), Position(2, 25_983))]
    report = Report(
        segments=2, bytes=7_229_208, batches=4213, ticks=87_977, records=3, epochs=epochs, gaps=[gap], holes=(),
        repeats=0, duplicates=0, out_of_order=0, damage=(), unfinished=0, quarantined=(), instruments={},
    )  # fmt: skip
    assert "".join(f"{line}\n" for line in _lines(report)) in [block.text for block in journal.blocks()]


def test_what_check_says_is_real(journal: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Files, "room", lambda *_: Room(10**12, 78_400_000_000 + 5 * 2**30))
    many = SourceSettings.model_construct(
        subscribe=[SubscribeEntry(instruments=tuple(range(1, 1001)))], name="kite"
    )
    said = note(
        Settings.model_construct(sources={"kite": many}, state=StateSettings(), journal=JournalSettings())
    )
    assert f"tickerd.yaml: ok (1 source, 1 sink)\n{said}\n" in [block.text for block in journal.blocks()]


def test_the_table_of_tap_is_a_real_one(journal: Any) -> None:
    row = Row(
        408065, mode="quote", last_price=1573.7, last_traded_quantity=1, volume_traded=9805, flags=("snapshot",),
        ts_recv=1_795_448_643_876_000_000,
    )  # fmt: skip
    status = Status(state="connected", source="kite", connection=0, ts_recv=1_795_448_643_858_000_000)
    table = Table()
    shown = f"{table.header}\n{table.record(status)}\n{table.tick(Batch.of([row]).ticks[0])}\n"
    assert shown in [block.text for block in journal.blocks()]


def test_dates_in_examples_are_dates(journal: Any) -> None:
    for text in re.findall(r"\b\d{4}-\d\d-\d\d\b", journal.text):
        assert date.fromisoformat(text).isoformat() == text
