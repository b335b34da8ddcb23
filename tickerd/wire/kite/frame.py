"""Binary frames: taking one apart into (token, packet) without decoding, and putting one together."""

from collections.abc import Iterable
from struct import Struct

from tickerd.plugin import Split
from tickerd.wire.kite.layout import MAX_PACKETS, MODES

_LENGTH = Struct(">H")
_FIRST_PROBE = 16


_CHUNKS = (64, 8, 1)


def _readers(length: int) -> tuple[tuple[int, Struct, Struct], ...]:
    """Largest first: how many equal packets at once, and readers of their tokens and of their bytes.

    Each packet has its two length bytes in front. One struct of 64 packets is twice as fast as iterating.
    """
    return tuple(
        (many, Struct(">" + f"2xI{length - 4}x" * many), Struct(">" + f"2x{length}s" * many))
        for many in _CHUNKS
    )


_READERS = {length: _readers(length) for length in MODES}


def _run_length(raw: bytes, start: int, stride: int, most: int) -> int:
    """How many packets from ``start`` on have the same length field, looking at no more than ``most``.

    Strided slices compare whole runs in C. The window grows, so that a frame of ever-changing lengths stays
    linear.
    """
    found, window = 0, _FIRST_PROBE
    while found < most:
        window = min(window, most - found)
        begin = start + found * stride
        end = begin + window * stride
        high, low = raw[begin:end:stride], raw[begin + 1 : end : stride]
        same = min(
            len(high) - len(high.lstrip(raw[start : start + 1])),
            len(low) - len(low.lstrip(raw[start + 1 : start + 2])),
        )
        found += same
        if same < window:
            break
        window *= 8
    return found


def split(raw: bytes) -> Split:
    """Take one binary frame apart. Never raises: what cannot be used is skipped and counted by reason.

    Faults: ``empty``, ``no_packets``, ``unknown_length`` (skipped, the rest is used), ``truncated`` (the good
    packets before it are used), ``trailing_bytes``. A one-byte heartbeat is an empty split without a fault.
    """
    size = len(raw)
    if size < 2:
        return Split((), (), {} if size else {"empty": 1})
    (count,) = _LENGTH.unpack_from(raw)
    if not count:
        return Split((), (), {"no_packets": 1})
    tokens: list[int] = []
    packets: list[bytes] = []
    faults: dict[str, int] = {}
    offset = 2
    while count:
        if offset + 2 > size:
            faults["truncated"] = 1
            break
        (length,) = _LENGTH.unpack_from(raw, offset)
        stride = length + 2
        if length not in MODES:
            if offset + stride > size:
                faults["truncated"] = 1
                break
            faults["unknown_length"] = faults.get("unknown_length", 0) + 1
            offset += stride
            count -= 1
            continue
        run = _run_length(raw, offset, stride, min(count, (size - offset) // stride))
        if not run:
            faults["truncated"] = 1
            break
        count -= run
        for many, token_reader, packet_reader in _READERS[length]:
            while run >= many:
                tokens += token_reader.unpack_from(raw, offset)
                packets += packet_reader.unpack_from(raw, offset)
                offset, run = offset + many * stride, run - many
    else:
        if offset < size:
            faults["trailing_bytes"] = 1
    return Split(tokens, packets, faults)


def join(packets: Iterable[bytes]) -> bytes:
    """One binary frame that holds these packets; at most 65,535.

    Raises:
        ValueError: more packets than a frame can count.
    """
    parts = [part for packet in packets for part in (_LENGTH.pack(len(packet)), packet)]
    count = len(parts) // 2
    if count > MAX_PACKETS:
        raise ValueError(f"{count} packets do not fit one frame, which holds at most {MAX_PACKETS}")
    return b"".join((_LENGTH.pack(count), *parts))
