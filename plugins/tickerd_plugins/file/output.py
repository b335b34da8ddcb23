"""One open file that is written at its end, and can be set back to where a batch began."""

from typing import NamedTuple

from tickerd_plugins.file.disk import Disk, Identity
from tickerd_plugins.file.encoding import Encoder
from tickerd_plugins.file.repair import Cut


class Mark(NamedTuple):
    """A file as it was: what to set it back to."""

    identity: Identity
    cut: Cut

    @property
    def size(self) -> int:
        """Bytes of the file."""
        return self.cut.length + len(self.cut.closing)


def mend(disk: Disk, fd: int, cut: Cut) -> None:
    """Cut an open file, at least as long as that, and close it off. Raises ``OSError``."""
    # in this order: what is written over needs no room on a full disk
    if cut.closing:
        disk.write(fd, cut.closing, cut.length)
    disk.truncate(fd, cut.length + len(cut.closing))


class Output:
    """An open, locked file. The owner closes it.

    Args:
        disk: the calls to the operating system.
        fd: from `Disk.open`.
        encoder: a new one.
        header: begins the text of an empty file.
    """

    def __init__(self, disk: Disk, fd: int, encoder: Encoder, header: bytes) -> None:
        self._disk = disk
        self.fd = fd
        self._encoder = encoder
        self._header = header
        self.identity, size = disk.identify(fd)
        self._end = size
        self._closing = b""
        """What stands on the disk after ``_end``; the next piece of the same frame goes over it."""

    @property
    def size(self) -> int:
        """Bytes that the file has, as far as we know."""
        return self._end + len(self._closing)

    def mark(self) -> Mark:
        """What `restore` goes back to."""
        return Mark(self.identity, Cut(self._end, self._closing))

    def append(self, lines: bytes) -> int:
        """Write lines at the end; the bytes by which it grew. On ``OSError`` the caller restores a mark."""
        before = self.size
        piece = self._encoder.encode(lines if before else self._header + lines)
        at = before if piece.fresh else self._end
        self._disk.write(self.fd, piece.body + piece.closing, at)
        self._end, self._closing = at + len(piece.body), piece.closing
        return self.size - before

    def restore(self, cut: Cut) -> None:
        """Cut the file there and close it off; what comes next begins a frame."""
        self._encoder.reset()
        mend(self._disk, self.fd, cut)
        self._end, self._closing = cut.length + len(cut.closing), b""

    def is_at(self, found: tuple[Identity, int] | None) -> bool:
        """Whether this is still the file of that name, as long as we left it."""
        return found == (self.identity, self.size)

    def sync(self) -> None:
        """Wait until it would survive a power cut."""
        self._disk.sync(self.fd)

    def close(self) -> None:
        """Close; it needs no ending."""
        self._disk.close(self.fd)
