"""Ticks as arrays: the values of the rows, in the order of the columns."""

import json
import random
from collections.abc import Callable
from typing import Any

import pytest

from tickerd.plugin import DUPLICATE, OHLC, Batch, Depth, Instrument, Level, Row
from tickerd.testing import stamped
from tickerd.wire.arrays import COLUMNS, encode_arrays, of_row
from tickerd.wire.kite import KITE
from tickerd.wire.kite.frame import join
from tickerd.wire.kite.layout import MODES

TABLE = {408_065: Instrument("kite", 408_065, "NSE", "INFY")}


@pytest.fixture
def read() -> Callable[..., Batch]:
    """A published batch of Kite packets."""

    def make(*packets: bytes) -> Batch:
        batch = Batch.read(KITE, join(packets), connection=1, ts_recv=1_790_000_000_123_456_789)
        return stamped(batch, 5, epoch=2, source="kite", instruments=TABLE)

    return make


def flat(value: dict[str, Any]) -> dict[str, Any]:
    """A row's JSON object with dotted names."""
    out: dict[str, Any] = {}
    for name, inner in value.items():
        if name == "ohlc":
            out |= {f"ohlc.{key}": (inner or {}).get(key) for key in ("open", "high", "low", "close")}
        elif name == "depth":
            for side in ("buy", "sell"):
                levels = (inner or {}).get(side, [])
                for n in range(5):
                    level = levels[n] if n < len(levels) else {}
                    out |= {
                        f"depth.{side}.{n}.{key}": level.get(key) for key in ("quantity", "price", "orders")
                    }
        else:
            out[name] = inner
    return out


def same(batch: Batch) -> None:
    """Each array has, under the names of its columns, exactly what the tick's JSON object has."""
    as_text: Any = {"parse_float": str, "parse_int": str}
    arrays = json.loads(encode_arrays(batch), **as_text)
    objects = [json.loads(tick.json, **as_text) for tick in batch.ticks]
    assert len(arrays) == len(objects) == len(batch)
    for array, whole in zip(arrays, objects, strict=True):
        columns, values = COLUMNS[whole["mode"]], flat(whole)
        assert len(array) == len(columns)
        assert {name: number(value) for name, value in zip(columns, array, strict=True)} == {
            name: number(values[name]) for name in columns
        }
        assert all(value in (None, [], {}) for name, value in values.items() if name not in columns)


def number(value: Any) -> Any:
    """Two encoders may write an exponent differently; the number must be the same."""
    return (
        float(value)
        if isinstance(value, str) and value.lstrip("-")[:1].isdigit() and ("." in value or "e" in value)
        else value
    )


@pytest.mark.parametrize("seed", range(20))
def test_arrays_hold_what_the_objects_hold(read: Callable[..., Batch], seed: int) -> None:
    rng = random.Random(seed)
    same(read(*[rng.randbytes(rng.choice((*MODES,))) for _ in range(20)]))


def test_a_frame_of_full_packets_takes_the_short_way_to_the_same(read: Callable[..., Batch]) -> None:
    rng = random.Random(5)
    packets = [(408_065).to_bytes(4) + rng.randbytes(180) for _ in range(20)] + [bytes(184)]
    batch = read(*packets)
    batch.marks = {3: DUPLICATE}
    first, *_, marked = json.loads(encode_arrays(batch))[:4]
    assert "duplicate" in marked[7]
    same(batch)
    assert first[:7] == [408_065, "NSE:INFY", "kite", 1, 1_790_000_000_123_456_789, 2, 5]


def test_any_ticks_will_do(read: Callable[..., Batch]) -> None:
    rng = random.Random(6)
    one, two = (read(*[rng.randbytes(184) for _ in range(3)]) for _ in range(2))
    picked = [one.ticks[2], two.ticks[0], two.ticks[2], one.ticks[0]]
    whole = json.loads(encode_arrays(one)), json.loads(encode_arrays(two))
    assert json.loads(encode_arrays(iter(picked))) == [whole[0][2], whole[1][0], whole[1][2], whole[0][0]]


def test_no_ticks_are_an_empty_array() -> None:
    assert encode_arrays([]) == b"[]"


def test_rows_of_other_sources_have_the_same_columns() -> None:
    book = Depth((Level(1, 2.5, 3),), tuple(Level(n, n / 2, 1) for n in range(7)))
    rows = [
        Row(1, mode="ltp", last_price=2.0),
        Row(2, mode="quote", ohlc=OHLC(1.0, 2.0, 0.5, 1.5)),
        Row(3, depth=book),
        Row(4),
    ]
    same(stamped(Batch.of(rows)))


def test_the_columns_of_a_lower_mode_are_the_first_of_a_higher() -> None:
    assert COLUMNS["full"][: len(COLUMNS["quote"])] == COLUMNS["quote"]
    assert COLUMNS["quote"][: len(COLUMNS["ltp"])] == COLUMNS["ltp"]
    assert len(set(COLUMNS["full"])) == len(COLUMNS["full"]) == 56
    assert len(of_row(Row(1))) == 56
