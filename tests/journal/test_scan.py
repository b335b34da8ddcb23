"""Finding records, chunk by chunk."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tickerd.journal import scan
from tickerd.journal.format import MARK, Damage, Record, record
from tickerd.journal.scan import Scanner, record_at


class Bytes:
    """Bytes that are read in pieces, and how much was asked for at once."""

    def __init__(self, data=b""):
        self.data = data
        self.largest = 0

    def read_at(self, size, offset):
        self.largest = max(self.largest, size)
        return self.data[offset : offset + size]


@pytest.fixture(autouse=True, scope="module")
def small_chunks():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scan, "CHUNK", 64)
        yield


def rec(payload, kind=4):
    return b"".join(record(kind, payload))


parts = st.lists(
    st.one_of(
        st.tuples(st.just("record"), st.binary(max_size=200)),
        st.tuples(st.just("junk"), st.binary(min_size=1, max_size=150)),
        st.tuples(st.just("junk"), st.just(MARK)),
        st.tuples(st.just("junk"), st.just(rec(b"damaged" * 9)[:-1] + b"\0")),
        st.tuples(st.just("junk"), st.just(rec(b"\xff")[:4] + b"\x00\x00\x02\x00")),
    ),
    max_size=12,
)


@given(parts, st.booleans())
def test_every_record_is_found_and_all_else_is_damage(parts, final):
    expected, data = [], b""
    for what, payload in parts:
        if what == "record":
            expected.append((len(data), payload))
            data += rec(payload)
        else:
            data += payload
    found = list(Scanner(Bytes(data).read_at).records(final=final))
    assert [(one.offset, one.payload) for one in found if isinstance(one, Record)] == expected
    covered = 0
    for one in found:
        assert one.offset == covered
        covered += one.size
    assert not final or covered == len(data)
    assert all(one.reason != "torn" for one in found[:-1] if isinstance(one, Damage))


def test_what_is_not_whole_waits_for_the_rest():
    source, whole = Bytes(), rec(b"one") + rec(b"two" * 100)
    scanner = Scanner(source.read_at)
    seen = []
    for size in range(len(whole) + 1):
        source.data = whole[:size]
        seen += scanner.records(final=False)
    assert [one.payload for one in seen] == [b"one", b"two" * 100]
    assert scanner.offset == len(whole)


def test_what_was_seen_half_is_read_again():
    source = Bytes(rec(b"one")[:-1] + b"\0")
    scanner = Scanner(source.read_at)
    assert list(scanner.records(final=False)) == []
    source.data = rec(b"one")
    assert [one.payload for one in scanner.records(final=False)] == [b"one"]


@pytest.mark.parametrize(
    ("junk", "reason"), [(b"zzzz", "mark"), (MARK + bytes(12), "crc"), (MARK[:2], "mark")]
)
def test_damage_is_told_by_what_is_wrong(junk, reason):
    damage, found = Scanner(Bytes(junk + rec(b"x")).read_at).records()
    assert damage == Damage(0, len(junk), reason)
    assert found.payload == b"x"
    assert [*Scanner(Bytes(rec(b"x") + junk).read_at).records()][1] == Damage(17, len(junk), "torn")


@pytest.mark.parametrize("junk", range(45, 70))
def test_a_mark_that_lies_across_two_chunks_is_found(junk):
    damage, found = Scanner(Bytes(bytes(junk) + rec(b"x")).read_at).records()
    assert (damage.size, found.offset) == (junk, junk)


def test_a_scan_holds_no_more_than_a_chunk_while_all_is_well():
    source = Bytes(b"".join(rec(bytes(20)) for _ in range(500)))
    assert len(list(Scanner(source.read_at).records())) == 500
    assert source.largest == 64


def test_one_record_is_read_by_itself():
    source = Bytes(b"junk" + rec(b"payload") + bytes(100))
    assert record_at(source.read_at, 4).payload == b"payload"
    assert source.largest == 16 + len(b"payload")
    assert record_at(source.read_at, 3) is None
    assert record_at(source.read_at, 1000) is None
