"""A sink: keeps the newest price of each symbol in one JSON file, for programs that poll."""

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import msgspec
import trio
from tickerd.plugin import Batch, Delivery, Options, Overflow, Reject, Retry, Sink, SinkContext, option


class LatestOptions(Options):
    """What YAML can say beside the options that every sink has."""

    path: Path = option(doc="The file. Its directory must exist.")


class LatestSink(Sink):
    """Only the newest price counts, so by default the host keeps no more than that for us."""

    Options: ClassVar[type[Options]] = LatestOptions
    overflow: ClassVar[Overflow] = "conflate"
    delivery: ClassVar[Delivery] = "live"

    def __init__(self, options: LatestOptions, ctx: SinkContext) -> None:
        self._path = options.path
        self._ctx = ctx
        self._prices: dict[str, float] = {}

    async def write(self, batch: Batch) -> Sequence[Reject]:
        """See `tickerd.plugin.Sink`: all of the batch, or `Retry` and none of it."""
        prices, rejects = dict(self._prices), []
        for tick in batch.ticks:
            if tick.symbol is None or tick.last_price is None:
                rejects.append(Reject(tick.position, "no symbol or no price"))
            else:
                prices[tick.symbol] = tick.last_price
        if prices != self._prices:
            try:
                # file work waits for the disk, so it belongs into a thread
                await trio.to_thread.run_sync(_replace, self._path, msgspec.json.encode(prices))
            except OSError as error:
                raise Retry(f"cannot write the file: {error.strerror}") from error
            self._prices = prices
            self._ctx.report("writing", symbols=len(prices))
        return rejects


def _replace(path: Path, content: bytes) -> None:
    """Readers see the old content or the new, never half of it."""
    fresh = path.with_name(f".{path.name}.new")
    fresh.write_bytes(content)
    fresh.replace(path)
