"""Turns a closed segment into a compressed one, so that at each moment one of the two is whole on the disk."""

from collections.abc import Callable, Iterator
from pathlib import Path

from tickerd.journal.blocks import BLOCK, LEVEL, packed, read_table
from tickerd.journal.files import Files, reading
from tickerd.journal.index import TEMPORARY
from tickerd.journal.segment import COMPRESSED, SUFFIX


def compress(
    path: Path, files: Files | None = None, level: int = LEVEL, stop: Callable[[], bool] = lambda: False
) -> Path | None:
    """Compress a closed segment, and delete the plain one when the other is safely on the disk.

    Blocking, for a thread. zstd works outside of the interpreter's lock.

    Args:
        path: of the plain segment.
        files: how files are touched.
        level: of zstd.
        stop: asked between two blocks; True gives up, as far as nothing had happened.

    Returns:
        The compressed segment, or None when it was stopped.

    Raises:
        OSError: the plain segment is as it was.
    """
    files = files or Files()
    final = path.with_name(path.name.removesuffix(SUFFIX) + COMPRESSED)
    fresh = final.with_name(final.name + TEMPORARY)
    try:
        files.remove(fresh)
        with reading(files, path) as source:
            _write(files, fresh, packed(_chunks(files, source), level, stop))
        files.rename(fresh, final)
        files.sync_directory(path.parent)
    except InterruptedError:
        files.remove(fresh)
        return None
    except OSError:
        _discard(files, fresh)
        raise
    files.remove(path)
    return final


def _write(files: Files, path: Path, parts: Iterator[bytes]) -> None:
    file = files.open_append(path)
    try:
        for part in parts:
            files.writev(file, [part])
        files.sync(file)
    finally:
        files.close(file)


def _chunks(files: Files, file: int) -> Iterator[bytes]:
    offset = 0
    while chunk := files.pread(file, BLOCK, offset):
        offset += len(chunk)
        yield chunk


def _discard(files: Files, path: Path) -> None:
    try:
        files.remove(path)
    except OSError:
        return  # deleted at the next start


def finish(plain: Path, files: Files) -> bool:
    """Both forms of a segment are there: keep the right one. True: the compressed one.

    The compressed one got its name when it was whole, so it is right unless it does not hold as many bytes.

    Raises:
        OSError: one of them cannot be read or deleted.
    """
    final = plain.with_name(plain.name.removesuffix(SUFFIX) + COMPRESSED)
    with reading(files, plain) as file:
        size = files.size(file)
    with reading(files, final) as file:
        blocks = read_table(lambda count, offset: files.pread(file, count, offset), files.size(file))
    whole = blocks is not None and sum(block.size for block in blocks) == size
    files.remove(plain if whole else final)
    return whole
