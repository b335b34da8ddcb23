"""Compressed segments as blocks."""

import random
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tickerd.journal import blocks
from tickerd.journal.blocks import BlockReader, find_blocks, pack_block, packed, read_table
from tickerd.wire.compression import decompressed, zstd


@pytest.fixture(autouse=True, scope="module")
def small_blocks():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(blocks, "BLOCK", 1000)
        yield


def file_of(data):
    chunks = (data[start : start + 1000] for start in range(0, len(data), 1000))
    return b"".join(packed(chunks, 3, lambda: False))


def reading(file):
    return lambda size, offset: file[offset : offset + size]


plain = st.builds(
    lambda seed, size, letters: bytes(random.Random(seed).choices(range(letters), k=size)),
    st.integers(),
    st.integers(0, 5500),
    st.integers(1, 256),
)


@given(plain, st.lists(st.tuples(st.integers(0, 3000), st.integers(0, 6000)), max_size=10))
def test_every_part_reads_as_it_was(data, parts):
    file = file_of(data)
    reader = BlockReader(reading(file), read_table(reading(file), len(file)))
    assert reader.size == len(data)
    for size, offset in [*parts, (len(data), 0)]:
        assert reader.read_at(size, offset) == data[offset : offset + size]
    assert not reader.damaged


@given(plain)
def test_any_zstd_reads_the_whole(data):
    assert b"".join(decompressed([file_of(data)], "zstd")) == data or not data


def test_the_zstd_tool_reads_the_whole(need, tmp_path):
    zstd_tool, data = need("zstd", "install zstd"), random.Random(1).randbytes(4500)
    (tmp_path / "x.zst").write_bytes(file_of(data))
    assert (
        subprocess.run([zstd_tool, "-dc", tmp_path / "x.zst"], capture_output=True, check=True).stdout == data
    )


@given(plain, st.data())
def test_no_damage_gives_wrong_bytes(data, draw):
    file = bytearray(file_of(data))
    place = draw.draw(st.integers(0, len(file) - 1))
    file[place] ^= 1 << draw.draw(st.integers(0, 7))
    found = read_table(reading(bytes(file)), len(file))
    if found is None:  # the table is lost: what stands before it is found again
        found = find_blocks(reading(bytes(file)), len(file))
    reader = BlockReader(reading(bytes(file)), found)
    out = reader.read_at(reader.size, 0)
    pieces = {data[start : start + 1000] for start in range(0, len(data), 1000)}
    for block in found:
        part = out[block.offset : block.offset + block.size]
        assert part in pieces or part == bytes(block.size)
    lost = sum(1 for block in found if block.offset in reader.damaged) + len(pieces) - len(found)
    assert lost <= 1


@given(plain.filter(lambda data: len(data) > 2500))
def test_blocks_are_found_without_the_table_and_around_a_lost_one(data):
    file = file_of(data)
    table = read_table(reading(file), len(file))
    end = table[-1].start + table[-1].length
    assert find_blocks(reading(file[:end]), end) == table
    broken = file[: table[1].start] + b"\0" + file[table[1].start + 1 : end]
    found = find_blocks(reading(broken), end)
    assert [block.start for block in found] == [block.start for block in table if block != table[1]]


@given(st.binary(max_size=300))
def test_any_bytes_at_all_are_survived(data):
    for junk in (data, data + blocks.pack_table([(len(data), 1000)]), blocks.ZSTD_MAGIC + data):
        found = read_table(reading(junk), len(junk)) or find_blocks(reading(junk), len(junk))
        reader = BlockReader(reading(junk), found)
        assert len(reader.read_at(reader.size, 0)) == reader.size


def test_a_frame_that_is_not_ours_is_no_block():
    big = zstd.compress(bytes(5000))
    assert find_blocks(reading(big), len(big)) == []


def test_a_block_that_expands_beyond_what_the_table_says_is_damaged():
    frame = pack_block(bytes(1000))
    file = frame + blocks.pack_table([(len(frame), 10)])
    reader = BlockReader(reading(file), read_table(reading(file), len(file)))
    assert reader.read_at(100, 0) == bytes(10)
    assert reader.damaged == {0}


def test_few_blocks_are_kept_in_memory():
    data = random.Random(1).randbytes(10_000)
    file, asked = file_of(data), []

    def read_at(size, offset):
        asked.append(offset)
        return file[offset : offset + size]

    reader = BlockReader(read_at, read_table(reading(file), len(file)))
    for _ in range(3):
        reader.read_at(1500, 200)
    assert len(asked) == 2
    reader.read_at(10, 5000)
    reader.read_at(10, 200)
    assert len(asked) == 4


def test_packing_stops_between_two_blocks_when_it_is_told():
    answers = iter([False, True])
    with pytest.raises(InterruptedError):
        list(packed(iter([b"a", b"b", b"c"]), 3, lambda: next(answers)))
