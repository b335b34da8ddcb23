"""Keeps the instrument table current: a download a day, and the copy on disk when that fails."""

import os
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from functools import partial
from pathlib import Path
from typing import NamedTuple

import msgspec
import trio

from tickerd.plugin import Batch, InstrumentChange, SourceContext
from tickerd.plugin.listing import FILE, Listing
from tickerd_plugins.kite.backoff import BackOff
from tickerd_plugins.kite.broker import Broker, Refused
from tickerd_plugins.kite.clocks import Clocks
from tickerd_plugins.kite.credentials import Credentials
from tickerd_plugins.kite.options import KiteOptions
from tickerd_plugins.kite.rows import Header, unpack

IST = timezone(timedelta(hours=5, minutes=30))
COMMAND = (sys.executable, "-P", "-m", "tickerd_plugins.kite.dump")
COPY = FILE
MOST_LOST = 0.1
"""A dump without a larger share of what the one before had and has not expired is not believed at once."""
REFRESH_EVERY = 60.0
"""Seconds between two downloads that somebody asked for; the second waits."""
RETRY_INITIAL, RETRY_CAP = 2.0, 300.0
_READ = 256 * 1024


class DumpError(Exception):
    """There is no usable dump; the text says why in words.

    Args:
        auth: the broker refused the credentials, so that a new token is a reason to try again.
        too_often: it was asked too often.
        retry_after: seconds that it said to wait then.
    """

    def __init__(
        self, reason: str, *, auth: bool = False, too_often: bool = False, retry_after: float | None = None
    ) -> None:
        super().__init__(reason)
        self.auth = auth
        self.too_often = too_often
        self.retry_after = retry_after


class Dump(NamedTuple):
    """A validated dump."""

    header: Header
    listing: Listing
    raw: bytes
    """The listing as it goes to the disk."""


def last_due(at: str, now_ns: int) -> int:
    """When it was ``HH:MM`` in India last, in nanoseconds since 1970 UTC."""
    day = 86_400 * 10**9
    return now_ns + round(seconds_until(at, now_ns) * 1e9) - day


def seconds_until(at: str, now_ns: int) -> float:
    """Seconds until it is ``HH:MM`` in India next."""
    now = datetime.fromtimestamp(now_ns / 1e9, UTC).astimezone(IST)
    hour, minute = map(int, at.split(":"))
    then = now.replace(hour=hour, minute=minute, second=0, microsecond=0)
    if then - now < timedelta(minutes=1):  # just done; and clocks round
        then += timedelta(days=1)
    return (then - now).total_seconds()


async def download(request: bytes, limit: float, max_bytes: int, command: tuple[str, ...] = COMMAND) -> bytes:
    """What the download process writes. The process does not outlive this call.

    Raises:
        DumpError: it took too long, wrote too much, or ended without an answer.
    """
    parts: list[bytes] = []
    with trio.move_on_after(limit) as deadline:
        async with trio.open_nursery() as nursery:
            start = partial(
                trio.run_process, command, stdin=request, stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL, check=False, deliver_cancel=_kill,
            )  # fmt: skip
            process: trio.Process = await nursery.start(start)
            assert process.stdout is not None
            left = max_bytes
            while left > 0 and (data := await process.stdout.receive_some(_READ)):
                parts.append(bytes(data))
                left -= len(data)
            if left <= 0:
                nursery.cancel_scope.cancel()
    if deadline.cancelled_caught:
        raise DumpError(f"no instrument dump within {limit:g} s")
    if left <= 0:
        raise DumpError(f"the instrument dump is larger than {max_bytes} bytes")
    if not parts:
        raise DumpError(f"the download process ended with code {process.returncode} and without an answer")
    return b"".join(parts)


async def _kill(process: trio.Process) -> None:
    process.kill()
    await trio.lowlevel.checkpoint()


def decode(raw: bytes) -> Dump:
    """Validate what the download process wrote; takes milliseconds.

    Raises:
        DumpError: it says itself that there is none, or it is damaged.
    """
    try:
        header, rows = unpack(raw)
        if header.error:
            raise DumpError(
                header.error, auth=header.auth, too_often=header.too_often, retry_after=header.retry_after
            )
        listing = Listing.unpack(rows)
    except ValueError as error:
        raise DumpError(f"damaged instrument dump: {error}") from error
    if not len(listing):
        raise DumpError("the instrument dump holds no rows")
    return Dump(header, listing, rows)


def save(path: Path, raw: bytes) -> None:
    """Replace the copy on disk as a whole. Blocks."""
    fresh = path.with_suffix(".new")
    with fresh.open("wb") as file:
        file.write(raw)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)


class Registry:
    """Keeps the table: the copy on disk at start, a download a day and on demand, another try when that fails.

    Args:
        changed: called when `problem`, `rows` or `fetched_ns` is another.
        broker: knows when it may be asked.
        clocks: told what a download found out about the host's.
    """

    def __init__(
        self,
        options: KiteOptions,
        ctx: SourceContext,
        credentials: Credentials,
        changed: Callable[[], None],
        broker: Broker,
        clocks: Clocks,
    ) -> None:
        self._options = options
        self._ctx = ctx
        self._credentials = credentials
        self._changed = changed
        self._clocks = clocks
        self._broker = broker
        self._backoff = BackOff(RETRY_INITIAL, RETRY_CAP)
        self._doubted = 0
        self._asked = trio.Event()
        self.problem = ""
        """Why the table is not today's; empty when all is well."""
        self.rows = 0
        self.fetched_ns = 0

    def refresh(self) -> None:
        """Download the dump again soon; asked for often, it is done once a minute."""
        self._asked.set()

    async def run(self) -> None:
        """Keep the table current until cancelled."""
        if await self._begin_with_copy():
            await self._pause()
        while True:
            self._asked = trio.Event()
            begun = trio.current_time()
            if await self._update():
                await self._pause()
            await trio.sleep_until(begun + (REFRESH_EVERY if self._asked.is_set() else 0))

    async def _pause(self) -> None:
        """Until the next download is due, or somebody asks for one."""
        at = self._options.instruments_at
        with trio.move_on_after(seconds_until(at, self._ctx.clock.now_ns())):
            await self._asked.wait()

    async def _begin_with_copy(self) -> bool:
        """Use the copy on disk, so that symbols are known at once; whether it is today's."""
        copy = await self._copy()
        if copy is None:
            return False
        due = last_due(self._options.instruments_at, self._ctx.clock.now_ns())
        is_current = due <= _fetched(copy.listing)
        self._use(copy, "" if is_current else f"the instruments are those of {_when(copy.listing)}")
        return is_current

    async def _update(self) -> bool:
        """Download and swap; when that fails, wait before the next try and return False."""
        token = await self._credentials.access_token()
        try:
            dump = await self._fetch(token)
        except DumpError as error:
            self._failed(error)
            with trio.move_on_after(max(self._backoff.next(), min(error.retry_after or 0.0, RETRY_CAP))):
                if error.auth:
                    await self._credentials.changed(token)
                else:
                    await self._asked.wait()
            return False
        self._use(dump)
        self._tell(dump.header)
        self._backoff.reset()
        await self._keep(dump)
        return True

    async def _fetch(self, token: str | None) -> Dump:
        options = self._options
        copy = self._ctx.state_dir / COPY
        request = {
            "api_key": options.api_key,
            "access_token": token,
            "root": options.rest_url,
            "timeout": options.instruments_timeout,
            "ca_file": str(options.ca_file) if options.ca_file else None,
            "max_bytes": options.instruments_max_bytes,
            "previous": str(copy),
            "now_ns": self._ctx.clock.now_ns(),
        }
        try:
            await self._broker.turn()
        except Refused as error:
            raise DumpError(str(error)) from None
        raw = await download(
            msgspec.json.encode(request), options.instruments_timeout, options.instruments_max_bytes
        )
        try:
            dump = decode(raw)
        except DumpError as error:
            if error.too_often:
                self._broker.hold(error.retry_after)
            raise
        if dump.header.host_ahead_s is not None:
            self._clocks.host_is_ahead(dump.header.host_ahead_s)
        self._doubt(dump)
        return dump

    def _doubt(self, dump: Dump) -> None:
        """Refuse a dump that lost too much, unless a second download says the same."""
        header, rows = dump.header, len(dump.listing)
        lost = header.lost > header.compared * MOST_LOST
        if (not lost and rows * 2 >= self.rows) or rows == self._doubted:
            self._doubted = 0
            return
        self._doubted = rows
        why = (
            f"lacks {header.lost} of {header.compared} symbols that have not expired"
            if lost
            else f"has {rows} rows after {self.rows} before"
        )
        raise DumpError(f"the instrument dump {why}; used if the next one agrees")

    def _use(self, dump: Dump, problem: str = "") -> None:
        self._ctx.instruments.load(dump.listing)
        self.rows, self.fetched_ns, self.problem = len(dump.listing), _fetched(dump.listing), problem
        self._ctx.log.info("instruments loaded", rows=self.rows, skipped=dump.header.skipped)
        if dump.header.skipped:
            self._ctx.count("instrument_rows_skipped", dump.header.skipped)
        self._changed()

    def _tell(self, header: Header) -> None:
        """One record for the whole table; what is wanted has been told one by one."""
        parts = ("added", "changed", "expired", "lost")
        counts = {part: n for part in parts if (n := getattr(header, part))}
        if header.compared and counts:
            detail = ", ".join(f"{n} {part}" for part, n in counts.items())
            change = InstrumentChange(symbol="*", change="changed", detail=f"{detail}, {self.rows} in all")
            change.ts_recv = self._ctx.clock.now_ns()
            self._ctx.publish(Batch.control(change))

    async def _keep(self, dump: Dump) -> None:
        """Put the dump on disk for the next start, and for a day on which the download fails."""
        try:
            await trio.to_thread.run_sync(save, self._ctx.state_dir / COPY, dump.raw)
        except OSError as error:
            self._ctx.count("instruments_copy_failed")
            self._ctx.log.warning("cannot keep a copy of the instrument dump", error=str(error))

    def _failed(self, error: DumpError) -> None:
        self._ctx.count("instruments_failed")
        self._ctx.log.warning("cannot load the instrument dump", error=str(error))
        if self.rows:
            when = datetime.fromtimestamp(self.fetched_ns / 1e9, IST)
            self.problem = f"{error}; the one of {when:%Y-%m-%d %H:%M} IST stays in use"
        else:
            self.problem = f"{error}; symbols cannot be resolved, tokens can be subscribed"
        self._changed()

    async def _copy(self) -> Dump | None:
        """The copy on disk, if it is whole and came from the same place."""
        try:
            raw = await trio.to_thread.run_sync((self._ctx.state_dir / COPY).read_bytes)
            listing = Listing.unpack(raw)
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            self._ctx.log.warning("cannot use the copy of the instrument dump", error=str(error))
            return None
        usable = listing.about.get("root") == self._options.rest_url and len(listing)
        return Dump(Header(), listing, raw) if usable else None


def _fetched(listing: Listing) -> int:
    return int(listing.about.get("fetched_ns", 0))


def _when(listing: Listing) -> str:
    return f"{datetime.fromtimestamp(_fetched(listing) / 1e9, IST):%Y-%m-%d %H:%M} IST"
