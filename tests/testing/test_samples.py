"""The samples hold what surprises sinks."""

from tickerd.plugin import RECORD_KINDS, record_kind
from tickerd.testing import check_batch, sample_batches, sample_records, sample_rows


def test_every_kind_of_record_is_among_them() -> None:
    assert {record_kind(record) for record in sample_records()} == set(RECORD_KINDS)


def test_rows_are_full_and_nearly_empty_and_negative() -> None:
    rows = sample_rows()
    assert any(row.depth for row in rows)
    assert any(row.last_price is None for row in rows)
    assert any((row.last_price or 0) < 0 for row in rows)


def test_batches_are_sound_and_in_order() -> None:
    ticks, records, both = sample_batches()
    check_batch(ticks)
    check_batch(records)
    positions = [tick.position for tick in both.ticks]
    assert positions == sorted(positions)
    assert both.last == max(positions)
    assert {tick.connection for tick in both.ticks} == {1, 2}
    assert "NSE:NIFTY 50" in {tick.symbol for tick in both.ticks}
