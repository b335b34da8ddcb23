"""Where a file that was torn is cut."""

import gzip
from hashlib import blake2b

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tickerd.wire.compression import Compression, zstd
from tickerd_plugins.file import repair
from tickerd_plugins.file.encoding import GZIP_HEADER, encoder
from tickerd_plugins.file.repair import Cut, examine

START = b'{"'
LINE = b'{"n":%d,"noise":"%s"}\n'


def lines(first: int, count: int) -> bytes:
    return b"".join(
        LINE % (n, blake2b(b"%d" % n, digest_size=8).hexdigest().encode())
        for n in range(first, first + count)
    )


def written(kind: Compression, *sizes: int) -> tuple[bytes, list[tuple[int, int]]]:
    """A file of several writes, and (length of the file, lines in it) after each."""
    encode, file, end, total = encoder(kind), bytearray(), 0, 0
    points = []
    for n, size in enumerate(sizes):
        if n == len(sizes) // 2:
            encode.reset()  # opened anew: a second frame
        piece = encode.encode(lines(total, size))
        at = len(file) if piece.fresh else end
        del file[at:]
        file += piece.body + piece.closing
        end, total = at + len(piece.body), total + size
        points.append((end, total))
    return bytes(file), points


def look(data: bytes, kind: Compression, start: bytes = START) -> Cut | None:
    return examine(lambda length, offset: data[offset : offset + length], len(data), kind, start)


def unpacked(data: bytes, kind: Compression) -> bytes:
    if kind == "none" or not data:
        return data
    return gzip.decompress(data) if kind == "gzip" else zstd.decompress(data)


def mended(data: bytes, kind: Compression) -> bytes:
    cut = look(data, kind)
    assert cut is not None
    return unpacked(data[: cut.length] + cut.closing, kind)


KINDS: list[Compression] = ["none", "gzip", "zstd"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_whole_file_stays_as_it_is(kind: Compression) -> None:
    data, _ = written(kind, 5, 1, 300, 7)
    assert look(data, kind) == Cut(len(data))


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=60)
@given(data=st.data())
def test_a_torn_file_keeps_every_finished_write_and_ends_with_a_line(
    kind: Compression, data: st.DataObject
) -> None:
    file, points = written(kind, 3, 40, 1, 8000, 5)
    length = data.draw(st.integers(1, len(file)))
    text = mended(file[:length], kind)
    kept = text.count(b"\n")
    assert text == b"" or text.endswith(b"}\n")
    assert kept >= max((count for end, count in points if end <= length), default=0)
    assert [int(line.split(b",")[0][5:]) for line in text.splitlines()] == list(range(kept))


@pytest.mark.parametrize("kind", KINDS)
def test_what_was_mended_is_whole(kind: Compression) -> None:
    file, _ = written(kind, 3, 40, 2000, 5)
    torn = file[:-20]
    cut = look(torn, kind)
    assert cut is not None
    again = torn[: cut.length] + cut.closing
    assert look(again, kind) == Cut(len(again))


@pytest.mark.parametrize("kind", KINDS)
def test_half_a_line_does_not_count_however_well_it_was_flushed(kind: Compression) -> None:
    encode = encoder(kind)
    first, second = encode.encode(lines(0, 2)), encode.encode(b'{"n":2')
    assert mended(first.body + second.body, kind) == lines(0, 2)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("garbage", [b"\xff" * 40, b"\x07garbage", bytes(range(256))])
def test_garbage_behind_the_end_is_cut(kind: Compression, garbage: bytes) -> None:
    file, _ = written(kind, 3, 40)
    if kind == "none":
        garbage = garbage.replace(b"\n", b"")
    assert look(file + garbage, kind) == Cut(len(file))


@pytest.mark.parametrize(
    ("data", "kind", "start"),
    [
        (b"my diary\n", "none", START),
        (b"instrument_token,other\n1,2\n", "none", b"instrument_token,symbol\n"),
        (b"plain text\n", "zstd", START),
        (zstd.compress(b"somebody's\n"), "zstd", START),
        (gzip.compress(b"somebody's\n", mtime=0), "gzip", START),
        (b"\x1f\x8b nothing", "gzip", START),
        (b"\x28\xb5\x2f\xfd", "gzip", START),
    ],
)
def test_a_file_of_somebody_else_is_recognised(data: bytes, kind: Compression, start: bytes) -> None:
    assert look(data, kind, start) is None


@pytest.mark.parametrize(
    ("data", "kind"),
    [(b'{"n', "none"), (b"{", "none"), (b"\x28\xb5\x2f\xfd\x00", "zstd"), (GZIP_HEADER[:5], "gzip")],
)
def test_a_first_write_that_was_torn_leaves_an_empty_file(data: bytes, kind: Compression) -> None:
    assert look(data, kind) == Cut(0)


def test_a_whole_file_of_another_tool_can_be_continued() -> None:
    for kind, data in (("gzip", gzip.compress(lines(0, 9), mtime=7)), ("zstd", zstd.compress(lines(0, 9)))):
        found = look(data, kind)  # type: ignore[arg-type]
        # a gzip header of another tool is not ours to look for; the file stays untouched then
        assert found == (Cut(len(data)) if kind == "zstd" else None)


def test_checksums_and_content_sizes_of_other_zstd_writers_are_stepped_over() -> None:
    parameters = {zstd.CompressionParameter.checksum_flag: 1}
    for size in (3, 40, 3000, 200_000):
        data = zstd.compress(lines(0, size), options=parameters)
        assert look(data + b"torn", "zstd") == Cut(len(data))


@pytest.mark.parametrize("kind", ["gzip", "zstd"])
def test_a_frame_longer_than_the_tail_is_found_all_the_same(
    kind: Compression, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, points = written(kind, 1, 3000)
    monkeypatch.setattr(repair, "_TAIL", 1000)
    assert mended(file[:-30], kind).count(b"\n") >= 1
    assert look(file, kind) == Cut(len(file))
    assert points


def test_the_last_line_end_is_found_far_back() -> None:
    data = lines(0, 3)
    assert look(data + b'{"' + b"x" * 600_000, "none") == Cut(len(data))
