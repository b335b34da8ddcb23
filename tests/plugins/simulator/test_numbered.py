"""The log of running numbers."""

from pathlib import Path
from struct import unpack_from

from tickerd.plugin import Stamp
from tickerd.wire.kite import row
from tickerd_plugins.simulator.numbered import NumberedLog, Sent, read_numbered

STAMP = Stamp(None, None, None, 0, 0, 0, 0)


def packet(token: int, length: int) -> bytes:
    return token.to_bytes(4, "big") + b"\1" * (length - 4)


def test_what_is_logged_is_what_was_stamped(tmp_path: Path) -> None:
    path = tmp_path / "numbers"
    with NumberedLog(path) as log:
        stamped, line = log.stamp([packet(257, 184), packet(513, 44)])
        assert [row(p, STAMP).volume_traded for p in stamped] == [1, 2]
        assert [len(p) for p in stamped] == [184, 44]
        log.sent(1_000, 3, line)
        stamped, line = log.stamp([packet(257, 184)])
        assert unpack_from(">I", stamped[0], 16) == (3,)
        log.sent(2_000, 4, line)
    first, second = read_numbered(path)
    assert first == Sent(1_000, 3, 1, (257, 513))
    assert (first.last, list(first.numbers())) == (2, [(1, 257), (2, 513)])
    assert second == Sent(2_000, 4, 3, (257,))


def test_packets_without_a_volume_get_no_number(tmp_path: Path) -> None:
    packets = [packet(9, 32), packet(9, 28), packet(257, 8)]
    with NumberedLog(tmp_path / "numbers") as log:
        assert log.stamp(packets) == (packets, "")
        log.sent(1, 1, "")
    assert list(read_numbered(tmp_path / "numbers")) == []


def test_a_frame_that_was_not_sent_leaves_a_hole(tmp_path: Path) -> None:
    path = tmp_path / "numbers"
    with NumberedLog(path) as log:
        log.stamp([packet(257, 44)] * 2)
        log.sent(5, 1, log.stamp([packet(257, 44)])[1])
    assert [sent.first for sent in read_numbered(path)] == [3]


def test_a_torn_last_line_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "numbers"
    path.write_text("1 1 1 2 257 513\n2 1 3 4 257")
    assert [sent.first for sent in read_numbered(path)] == [1]


def test_other_bytes_of_a_packet_stay_as_they_are(tmp_path: Path) -> None:
    with NumberedLog(tmp_path / "numbers") as log:
        (stamped,), _ = log.stamp([packet(257, 184)])
    assert stamped[:16] + stamped[20:] == packet(257, 184)[:16] + packet(257, 184)[20:]
