"""A source: follows the toy feed over TCP."""

from typing import ClassVar

import trio
from tickerd.plugin import (
    Batch,
    Duration,
    Gap,
    Instrument,
    Mode,
    Options,
    Row,
    Source,
    SourceContext,
    Status,
    option,
)

from tickerd_example.protocol import Listing, Price, Reader, Want, host_and_port, line


class ExampleOptions(Options):
    """What YAML can say beside ``use``, ``subscribe`` and ``required``."""

    address: str = option(doc="Host and port of the feed.", pattern=r"^\S+:\d+$")
    silence: Duration = option("10s", doc="Connect again when nothing has come for this long.", gt=0)


class ExampleSource(Source):
    """One connection: when it breaks, the error is the host's, which starts us again with back-off."""

    Options: ClassVar[type[Options]] = ExampleOptions

    def __init__(self, options: ExampleOptions) -> None:
        self._options = options
        self._modes: dict[int, Mode] = {}
        self._last_ns: int | None = None

    async def run(self, ctx: SourceContext, *, task_status: trio.TaskStatus[None]) -> None:
        """See `tickerd.plugin.Source`."""
        # we run, connected or not: a feed that is down is a state, and no reason for tickerd not to start
        task_status.started()
        ctx.report("connecting", f"to {self._options.address}")
        stream = await trio.open_tcp_stream(*host_and_port(self._options.address))
        try:
            async with stream, trio.open_nursery() as nursery:
                nursery.start_soon(self._ask, stream, ctx)
                await self._read(stream, ctx)
        finally:
            self._tell_gap(ctx)

    async def _ask(self, stream: trio.SocketStream, ctx: SourceContext) -> None:
        """Tell the feed what is wanted, now and whenever that changes."""
        async for change in ctx.demand.changes():
            for instrument, mode in change.items():
                if mode is None:
                    self._modes.pop(instrument.token, None)
                else:
                    self._modes[instrument.token] = mode
            await stream.send_all(line(Want(sorted(self._modes))))

    async def _read(self, stream: trio.SocketStream, ctx: SourceContext) -> None:
        """Publish what comes, one batch for each network read, until the stream ends with an exception."""
        reader = Reader()
        while True:
            with trio.fail_after(self._options.silence):
                data = await stream.receive_some(65_536)
            now = ctx.clock.now_ns()
            if not data:
                raise trio.BrokenResourceError("the feed closed the connection")
            rows = []
            for message in reader.feed(data):
                if isinstance(message, Listing):
                    self._listed(message, ctx, now)
                elif isinstance(message, Price) and message.token in self._modes:
                    rows.append(self._row(message))
            if reader.faults:
                ctx.count("malformed", reader.faults)
                reader.faults = 0
            if rows:
                self._last_ns = now
                ctx.publish(Batch.of(rows, connection=1, ts_recv=now))

    def _listed(self, listing: Listing, ctx: SourceContext, now: int) -> None:
        """Loading the instruments lets the host resolve the symbols in YAML, and `_ask` hears of it."""
        ctx.instruments.load(Instrument(ctx.name, i.token, listing.exchange, i.symbol) for i in listing.items)
        ctx.publish(Batch.control(Status(state="connected", connection=1, ts_recv=now)))
        ctx.report("connected", instruments=len(listing.items))

    def _row(self, message: Price) -> Row:
        """What the feed does not send stays None: unknown is never 0."""
        mode = self._modes[message.token]
        volume = None if mode == "ltp" else message.volume
        return Row(message.token, mode=mode, last_price=message.price, volume_traded=volume)

    def _tell_gap(self, ctx: SourceContext) -> None:
        """Nobody can know what is missed from here on, so say since when."""
        if self._last_ns is not None:
            now = ctx.clock.now_ns()
            gap = Gap(reason="disconnected", connection=1, since_ns=self._last_ns, ts_recv=now)
            ctx.publish(Batch.control(gap))
