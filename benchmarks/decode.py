"""The codec against the official client's parser: one frame of full packets into ticks, fields, dicts, JSON."""

import json
import random
from collections.abc import Callable

import frames as made
import orjson
from harness import Contestant, contest, environment, table
from kiteconnect import KiteTicker

from tickerd.plugin import Batch
from tickerd.wire import arrays
from tickerd.wire.kite import KITE, fields, official
from tickerd.wire.kite.frame import split

PACKETS = 200
FRAMES = 20
REPEATS = 15
OFFICIAL = "official parser"
OFFICIAL_JSON = "official parser + json"
OFFICIAL_ORJSON = "official parser + orjson"


def main() -> None:
    """Print the table."""
    rng = random.Random(20)
    universe = made.instruments(9_000, rng)
    raw = made.frames(universe, FRAMES, PACKETS, rng)
    table_of = {i.token: i for i in universe}
    parse = KiteTicker("key", "token")._parse_binary

    def batch(frame: bytes) -> Batch:
        out = Batch.read(KITE, frame, connection=1, ts_recv=1_790_000_000_123_456_789)
        assert out.origin is not None
        out.origin.source, out.origin.epoch, out.origin.seq, out.origin.instruments = (
            "kite",
            3,
            1_000_000,
            table_of,
        )
        return out

    def dumps(frame: bytes) -> bytes:
        return "".join([json.dumps(tick, default=str) + "\n" for tick in parse(frame)]).encode()

    def orjson_dumps(frame: bytes) -> bytes:
        return b"".join([orjson.dumps(tick, option=orjson.OPT_APPEND_NEWLINE) for tick in parse(frame)])

    def each(work: Callable[[bytes], object]) -> Callable[[], None]:
        def run() -> None:
            for frame in raw:
                work(frame)

        return run

    field = [
        Contestant(OFFICIAL, each(parse)),
        Contestant(OFFICIAL_JSON, each(dumps)),
        Contestant(OFFICIAL_ORJSON, each(orjson_dumps)),
        Contestant("split into routable ticks", each(split), OFFICIAL, 100),
        Contestant("Tick objects", each(lambda f: batch(f).ticks), OFFICIAL),
        Contestant("every field (fields)", each(lambda f: list(map(fields, split(f).packets))), OFFICIAL, 18),
        Contestant(
            "official-shaped dicts (official)",
            each(lambda f: list(map(official, split(f).packets))),
            OFFICIAL,
            4,
        ),
        Contestant("rows (Batch.rows)", each(lambda f: batch(f).rows()), OFFICIAL),
        Contestant("JSON lines (Batch.lines)", each(lambda f: batch(f).lines()), OFFICIAL_JSON, 10),
        Contestant(
            "JSON tick by tick (Tick.json)", each(lambda f: [t.json for t in batch(f).ticks]), OFFICIAL_JSON
        ),
        Contestant(
            "JSON arrays (encode_arrays)", each(lambda f: arrays.encode_arrays(batch(f))), OFFICIAL_JSON, 15
        ),
    ]
    results = contest(field, FRAMES * PACKETS, REPEATS)
    title = f"decode: frames of {PACKETS} full packets (184 bytes), {FRAMES} frames a turn, {REPEATS} turns"
    print(table(title, results))
    print()
    print(environment(("kiteconnect", "msgspec", "orjson")))
