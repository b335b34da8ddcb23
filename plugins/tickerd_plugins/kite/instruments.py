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

from tickerd.plugin import Instrument, SourceContext
from tickerd_plugins.kite.backoff import BackOff
from tickerd_plugins.kite.credentials import Credentials
from tickerd_plugins.kite.options import KiteOptions
from tickerd_plugins.kite.rows import Header, headed, unpack

IST = timezone(timedelta(hours=5, minutes=30))
COMMAND = (sys.executable, "-P", "-m", "tickerd_plugins.kite.dump")
COPY = "instruments.bin"
RETRY_INITIAL, RETRY_CAP = 2.0, 300.0
_READ = 256 * 1024


class DumpError(Exception):
    """There is no usable dump; the text says why in words.

    Args:
        auth: the broker refused the credentials, so that a new token is a reason to try again.
    """

    def __init__(self, reason: str, *, auth: bool = False) -> None:
        super().__init__(reason)
        self.auth = auth


class Dump(NamedTuple):
    """A validated dump."""

    header: Header
    instruments: list[Instrument]
    raw: bytes


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


async def decode(raw: bytes) -> Dump:
    """Validate a dump, letting others run between its parts.

    Raises:
        DumpError: it says itself that there is none, or it is damaged.
    """
    instruments: list[Instrument] = []
    try:
        header, runs = unpack(raw)
        if header.error:
            raise DumpError(header.error, auth=header.auth)
        for run in runs:
            instruments += run
            await trio.lowlevel.checkpoint()
    except ValueError as error:
        raise DumpError(f"damaged instrument dump: {error}") from error
    if not instruments:
        raise DumpError("the instrument dump holds no rows")
    return Dump(header, instruments, raw)


def save(path: Path, raw: bytes) -> None:
    """Replace the copy on disk as a whole. Blocks."""
    fresh = path.with_suffix(".new")
    with fresh.open("wb") as file:
        file.write(raw)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)


class InstrumentLoader:
    """Loads the table at start and once a day, tries again when that fails, and says how it stands.

    Args:
        changed: called when `problem`, `rows` or `fetched_ns` is another.
    """

    def __init__(
        self, options: KiteOptions, ctx: SourceContext, credentials: Credentials, changed: Callable[[], None]
    ) -> None:
        self._options = options
        self._ctx = ctx
        self._credentials = credentials
        self._changed = changed
        self._backoff = BackOff(RETRY_INITIAL, RETRY_CAP)
        self._doubted = 0
        self.problem = ""
        """Why the table is not today's; empty when all is well."""
        self.rows = 0
        self.fetched_ns = 0

    async def run(self) -> None:
        """Keep the table current until cancelled."""
        while True:
            token = await self._credentials.access_token()
            try:
                dump = await self._fetch(token)
            except DumpError as error:
                await self._failed(error)
                with trio.move_on_after(self._backoff.next()):
                    if error.auth:
                        await self._credentials.changed(token)
                    else:
                        await trio.sleep_forever()
                continue
            self._use(dump)
            self._backoff.reset()
            await self._keep(dump)
            await trio.sleep(seconds_until(self._options.instruments_at, self._ctx.clock.now_ns()))

    async def _fetch(self, token: str | None) -> Dump:
        options = self._options
        request = {
            "api_key": options.api_key,
            "access_token": token,
            "root": options.rest_url,
            "timeout": options.instruments_timeout,
            "ca_file": str(options.ca_file) if options.ca_file else None,
            "max_bytes": options.instruments_max_bytes,
        }
        raw = await download(
            msgspec.json.encode(request), options.instruments_timeout, options.instruments_max_bytes
        )
        dump = await decode(raw)
        dump.header.fetched_ns = self._ctx.clock.now_ns()
        self._doubt(dump)
        return dump

    def _doubt(self, dump: Dump) -> None:
        """Refuse a dump that lost half of its rows, unless a second download says the same."""
        rows = len(dump.instruments)
        if rows * 2 >= self.rows or rows == self._doubted:
            self._doubted = 0
            return
        self._doubted = rows
        raise DumpError(
            f"the instrument dump has {rows} rows after {self.rows} before; used if the next one agrees"
        )

    def _use(self, dump: Dump, problem: str = "") -> None:
        self._ctx.instruments.load(dump.instruments)
        self.rows, self.fetched_ns, self.problem = len(dump.instruments), dump.header.fetched_ns, problem
        self._ctx.log.info("instruments loaded", rows=self.rows, skipped=dump.header.skipped)
        if dump.header.skipped:
            self._ctx.count("instrument_rows_skipped", dump.header.skipped)
        self._changed()

    async def _keep(self, dump: Dump) -> None:
        """Put the dump on disk for a day on which the download fails."""
        try:
            await trio.to_thread.run_sync(save, self._ctx.state_dir / COPY, headed(dump.header, dump.raw))
        except OSError as error:
            self._ctx.count("instruments_copy_failed")
            self._ctx.log.warning("cannot keep a copy of the instrument dump", error=str(error))

    async def _failed(self, error: DumpError) -> None:
        self._ctx.count("instruments_failed")
        self._ctx.log.warning("cannot load the instrument dump", error=str(error))
        if self.rows:
            self.problem = f"{error}; the one before stays in use"
        elif (copy := await self._copy()) is not None:
            when = datetime.fromtimestamp(copy.header.fetched_ns / 1e9, IST)
            self._use(copy, f"{error}; using the copy of {when:%Y-%m-%d %H:%M} IST")
        else:
            self.problem = f"{error}; symbols cannot be resolved, tokens can be subscribed"
        self._changed()

    async def _copy(self) -> Dump | None:
        """The copy on disk, if it is whole and came from the same place."""
        try:
            raw = await trio.Path(self._ctx.state_dir / COPY).read_bytes()
            dump = await decode(raw)
        except FileNotFoundError:
            return None
        except (OSError, DumpError) as error:
            self._ctx.log.warning("cannot use the copy of the instrument dump", error=str(error))
            return None
        return dump if dump.header.root == self._options.rest_url else None
