"""``tickerd simulate``: the simulator as a command, alone or around another one."""

import sys
from pathlib import Path
from typing import Any

import click


class _Address(click.ParamType[tuple[str, int]]):
    """``HOST:PORT``."""

    name = "HOST:PORT"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, int]:
        if isinstance(value, tuple):
            return value
        host, colon, port = str(value).rpartition(":")
        if not colon or not host or not port.isdecimal() or int(port) > 65_535:
            self.fail(f"expected HOST:PORT such as 127.0.0.1:7900, got {value!r}", param, ctx)
        return host.strip("[]"), int(port)


class _Fault(click.ParamType[Any]):
    """``NAME[=ARG]@SECONDS``."""

    name = "NAME[=ARG]@SECONDS"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        from tickerd_plugins.simulator.faults import parse_timed  # noqa: PLC0415

        try:
            return parse_timed(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


@click.command(context_settings={"show_default": True})
@click.option(
    "--ws",
    type=_Address(),
    default="127.0.0.1:7900",
    help="Where the WebSocket listens; port 0 takes a free one.",
)
@click.option("--rest", type=_Address(), default="127.0.0.1:7901", help="Where the REST API listens.")
@click.option(
    "--rate",
    type=click.IntRange(0, 100_000),
    default=2_000,
    help="Ticks a second over all subscribed instruments.",
)
@click.option("--frame", type=click.IntRange(1, 65_535), default=200, help="Most packets in a frame.")
@click.option(
    "--instruments", type=click.IntRange(1, 200_000), default=12_000, help="Rows in the instrument dump."
)
@click.option(
    "--send-buffer",
    type=click.IntRange(2**16),
    default=16 * 2**20,
    help="Bytes that may wait for a client before it is dropped.",
)
@click.option("--seed", type=int, help="Make names, prices and moves the same each time.")
@click.option(
    "--numbered",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Send running numbers as volumes and log them here.",
)
@click.option("--api-key", default="demo", help="The API key that clients must use.")
@click.option("--api-secret", default="demo-secret", help="The secret of the login's checksum.")
@click.option("--access-token", default="demo-token", help="The access token that is valid from the start.")
@click.option("--user-id", default="SIM001", help="Who logs in.")
@click.option("--daily-expiry", is_flag=True, help="Let the access token end at 6 AM IST.")
@click.option(
    "--redirect-url",
    metavar="URL",
    help="Where the login page sends the browser; without it, it shows the request token.",
)
@click.option(
    "--fault",
    "faults",
    type=_Fault(),
    multiple=True,
    help="Let something go wrong so many seconds after the start; repeatable.",
)
@click.option(
    "--ready-file",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="PATH",
    help="Write {ws, rest} here, as JSON, once both listen.",
)
@click.argument("command", nargs=-1, type=click.UNPROCESSED)
def simulate(**given: Any) -> None:
    """Run a fake Kite Connect on loopback: logins, instruments, quotes, orders and ticks.

    With COMMAND it runs that as soon as it listens and ends with it, with the same exit code; the command
    finds the addresses in KITE_SIM_WS and KITE_SIM_REST.

    \b
    Examples:
      tickerd simulate
      tickerd simulate --rate 30000 --fault drop@10 --fault mute=5@20
      tickerd simulate -- tickerd run -c config/demo.yaml
      curl -d '{"fault": "malformed", "kind": "truncated"}' http://127.0.0.1:7901/simulator/faults

    \b
    Faults: change-secret  clear  close[=CODE]  drop[=mid-frame]  expire[=cut]  half-open
      login-elsewhere[=cut]  malformed[=KIND]  mute[=SECONDS]  mute-instrument=SYMBOL
      no-market-data  reject[=STATUS[:COUNT]]  slow[=BYTES_PER_SECOND]  text[=KIND[:JSON]]
    """
    from tickerd_plugins.simulator.main import main  # noqa: PLC0415

    sys.exit(main(given))
