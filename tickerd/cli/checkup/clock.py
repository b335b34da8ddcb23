"""Whether somebody keeps this machine's clock right."""

import ctypes
import struct
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

from tickerd.cli.checkup.finding import Finding, Patient, ok, skipped, warning

MOST_ERROR_S = 1.0
_TIMEX = struct.Struct("@Illlli")
"""The beginning of ``struct timex``: modes, offset, freq, maxerror, esterror, status."""
_ROOM = 512
_STA_UNSYNC = 0x40
_EARLIEST = datetime(2024, 1, 1, tzinfo=UTC)

Kernel = Callable[[], tuple[bool, float] | None]


def clock(patient: Patient, kernel: "Kernel | None" = None, now: datetime | None = None) -> Iterator[Finding]:
    """What the kernel was told by whoever keeps the time; how far off it is shows in `network`."""
    del patient
    if (now or datetime.now(UTC)) < _EARLIEST:
        yield warning("clock", "this machine's clock is years behind", "set it, and run an NTP service")
    found = (kernel or kernel_clock)()
    if found is None:
        yield skipped("clock", "the kernel does not tell whether the clock is kept right")
        return
    is_kept, error_s = found
    if not is_kept:
        text = "nobody keeps this machine's clock right, as far as the kernel knows"
        yield warning(
            "clock", text, "run an NTP service: timedatectl set-ntp true, or chrony; then wait a minute"
        )
    elif error_s > MOST_ERROR_S:
        text = f"the clock may be off by {error_s:.1f} s, its NTP service says"
        yield warning(
            "clock", text, "look at the NTP service: timedatectl timesync-status, or chronyc tracking"
        )
    else:
        yield ok("clock", f"kept right, off by at most {error_s * 1000:.0f} ms")


def kernel_clock() -> tuple[bool, float] | None:
    """Whether the clock is synchronised, and its largest error in seconds; see adjtimex(2)."""
    buffer = ctypes.create_string_buffer(_ROOM)
    try:
        answer = ctypes.CDLL(None, use_errno=True).adjtimex(buffer)
    except (AttributeError, OSError):
        return None
    if answer < 0:
        return None
    _, _, _, most_us, _, status = _TIMEX.unpack_from(buffer)
    return not status & _STA_UNSYNC, most_us / 1e6
