"""Batches become Kite packets, whatever source they came from."""

import pytest

from tickerd.plugin import Batch, Row
from tickerd.testing.fakes import stamped
from tickerd.wire.kite import KITE, frame
from tickerd_plugins.websocket.kite_packets import Packets, packet, packets

INFY, TCS = 408_065, 2_953_217


@pytest.fixture
def unfit() -> list[int]:
    return []


def read(batch: Batch, unfit: list[int], *wanted: int) -> list[Packets]:
    return list(packets(batch, lambda namespace: {*wanted}, lambda: unfit.append(1)))


def kite(seq: int, *tokens: int) -> Batch:
    raw = frame.join([token.to_bytes(4) + bytes(4) for token in tokens])
    return stamped(Batch.read(KITE, raw, connection=1, ts_recv=5), seq)


def test_what_the_broker_sent_is_passed_on_untouched_and_not_looked_into(unfit: list[int]) -> None:
    batch = kite(7, INFY, TCS)
    (found,) = read(batch, unfit)
    assert (found.tokens, found.packets, list(found.seqs)) == (*batch.split[:2], [7, 8])
    assert found.packets[0] is batch.split.packets[0]
    assert batch._ticks is None


def test_plain_rows_are_encoded_where_somebody_wants_them(unfit: list[int]) -> None:
    rows = [
        Row(INFY, mode="ltp", last_price=1.5),
        Row(TCS, mode="ltp", last_price=2.5),
        Row(7, last_price=None),
    ]
    batch = stamped(Batch.of(rows), 3)
    (found,) = read(batch, unfit, TCS, 7)
    assert found == (batch.origin, [TCS], [TCS.to_bytes(4) + (250).to_bytes(4)], [4])
    assert unfit == [1]


def test_a_batch_of_several_reads_is_taken_read_by_read(unfit: list[int]) -> None:
    plain = stamped(Batch.of([Row(TCS, mode="ltp", last_price=2.5)]), 9)
    merged = Batch.merged([kite(7, INFY, TCS), plain])
    first, second = read(merged, unfit, INFY, TCS)
    assert (first.tokens, first.seqs) == ([INFY, TCS], [7, 8])
    assert (second.tokens, second.seqs, second.origin) == ([TCS], [9], plain.origin)


def test_control_records_are_no_packets(unfit: list[int]) -> None:
    assert read(Batch.control(), unfit) == []


def test_one_tick() -> None:
    (tick,) = kite(1, INFY).ticks
    assert packet(tick) is tick.packet
    (tick,) = stamped(Batch.of([Row(INFY, mode="ltp", last_price=1.5)])).ticks
    assert packet(tick) == INFY.to_bytes(4) + (150).to_bytes(4)
