"""The protocol, without a socket."""

import pytest

from tickerd_example.protocol import MAX_LINE, Price, Reader, Want, host_and_port, line


def test_messages_arrive_however_the_bytes_are_cut() -> None:
    sent = [Want([1, 2]), Price(1, 99.95, 7)]
    data = b"".join(map(line, sent))
    reader = Reader()
    received = [message for byte in data for message in reader.feed(bytes([byte]))]
    assert received == sent
    assert reader.faults == 0


def test_lines_that_are_no_messages_are_counted_and_passed_over() -> None:
    reader = Reader()
    assert reader.feed(b"{}\n\xff\n[1\n" + line(Want([3]))) == [Want([3])]
    assert reader.faults == 3


def test_a_line_without_an_end_is_refused() -> None:
    with pytest.raises(ValueError, match="longer than"):
        Reader().feed(b"x" * (MAX_LINE + 1))


def test_an_address_is_taken_apart() -> None:
    assert host_and_port("127.0.0.1:80") == ("127.0.0.1", 80)
    assert host_and_port("[::1]:7900") == ("::1", 7900)
