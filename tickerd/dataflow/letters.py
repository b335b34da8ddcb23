"""What a sink refused for good, as dead letters."""

from collections.abc import Sequence

import msgspec

from tickerd.plugin import Batch, Position, Reject, record_kind
from tickerd.state.deadletters import Letter

_json = msgspec.json.Encoder().encode


def dead_letters(sink: str, batch: Batch, rejects: Sequence[Reject], now_ns: int) -> list[Letter]:
    """One letter for each refusal, with a copy of the record as JSON where the batch holds it."""
    wanted = {reject.position: reject.reason for reject in rejects}
    letters = [
        Letter(
            sink=sink,
            position=tick.position,
            instrument=tick.instrument,
            reason=wanted.pop(tick.position),
            first_ns=now_ns,
            last_ns=now_ns,
            payload=tick.json,
        )
        for tick in batch.ticks
        if tick.position in wanted
    ]
    for record in batch.records:
        position = Position(record.epoch, record.seq)
        if position in wanted:
            letters.append(
                Letter(
                    sink=sink,
                    position=position,
                    kind=record_kind(record),
                    reason=wanted.pop(position),
                    first_ns=now_ns,
                    last_ns=now_ns,
                    payload=_json(record),
                )
            )
    letters += [
        Letter(sink=sink, position=position, reason=reason, first_ns=now_ns, last_ns=now_ns)
        for position, reason in wanted.items()
    ]
    return letters
