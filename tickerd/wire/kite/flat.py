"""Full packets to flat lists, in the order of `tickerd.wire.arrays.COLUMNS`, with the values of `decode.row`."""

from typing import Any

import orjson

from tickerd.plugin import SUSPICIOUS, Run, flag_names
from tickerd.wire.kite.layout import DIVISORS, INDICES, LARGEST, unpack_full


def flat_full(run: Run) -> list[list[Any]]:
    """The columns of each tick of a run that holds nothing but full packets, for `orjson` alone.

    Lists, which are quicker to make than tuples. The four columns that are the same in all of them stand there
    as one fragment that has been encoded already.
    """
    out: list[list[Any]] = []
    stamp = orjson.Fragment(orjson.dumps(run.stamp)[1:-1])
    for (
        token, last, quantity, average, volume, buy, sell, opening, high, low, close,
        traded, oi, oi_high, oi_low, exchanged,
        q0, p0, n0, q1, p1, n1, q2, p2, n2, q3, p3, n3, q4, p4, n4,
        q5, p5, n5, q6, p6, n6, q7, p7, n7, q8, p8, n8, q9, p9, n9,
    ), symbol, seq, bits in zip(unpack_full(run.packets), run.symbols, run.seqs, run.flags, strict=False):  # fmt: skip
        segment = token & 0xFF
        d = DIVISORS[segment]
        odd = SUSPICIOUS if last <= 0 or last == LARGEST or not (q0 or q5) else 0
        out.append([
            token, symbol, stamp, seq,
            flag_names(bits | odd) if bits or odd else (), "full", segment != INDICES, last / d,
            quantity, average / d, volume, buy, sell, opening / d, high / d, low / d, close / d,
            (last - close) * 100 / close if close else None,
            traded or None, oi, oi_high, oi_low, exchanged or None,
            q0, p0 / d, n0, q1, p1 / d, n1, q2, p2 / d, n2, q3, p3 / d, n3, q4, p4 / d, n4,
            q5, p5 / d, n5, q6, p6 / d, n6, q7, p7 / d, n7, q8, p8 / d, n8, q9, p9 / d, n9,
        ])  # fmt: skip
    return out
