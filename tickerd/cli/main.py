"""`tickerd` itself: finds the command that was named, ours or a plugin's, and imports only that."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

import click

from tickerd import __version__

if TYPE_CHECKING:
    from tickerd.runtime.registry import Registry

EXIT_CODES = """\b
Exit codes:
  0    done, or stopped on request
  1    failed while running; the last lines of the log say why
  2    the command line is wrong
  70   the event loop was frozen and the watchdog ended the process
  78   the configuration is wrong; every problem is listed
  130  a second Ctrl-C (143: a second SIGTERM) ended the process at once
"""

COMMANDS = {
    "audit": "tickerd.cli.audit:audit",
    "backup": "tickerd.cli.backup:backup",
    "check": "tickerd.cli.check:check",
    "completion": "tickerd.cli.completion:completion",
    "dlq": "tickerd.cli.dlq:dlq",
    "doctor": "tickerd.cli.doctor:doctor",
    "instruments": "tickerd.cli.instruments:instruments",
    "keys": "tickerd.cli.keys:keys",
    "login": "tickerd.cli.login:login",
    "plan": "tickerd.cli.plan:plan",
    "plugins": "tickerd.cli.plugins:plugins",
    "reload": "tickerd.cli.reload:reload",
    "replay": "tickerd.cli.replay:replay",
    "restore": "tickerd.cli.backup:restore",
    "run": "tickerd.cli.run:run",
    "schema": "tickerd.cli.schema:schema",
    "status": "tickerd.cli.status:status",
    "subs": "tickerd.cli.subs:subs",
    "support-bundle": "tickerd.cli.support:support_bundle",
    "tap": "tickerd.cli.tap:tap",
    "top": "tickerd.cli.top:top",
    "verify": "tickerd.cli.verify:verify",
    "webhooks": "tickerd.cli.webhooks:webhooks",
}


class LazyGroup(click.Group):
    """Our commands by name; what is not ours is looked for among the plugins' commands."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Ours and the plugins', sorted."""
        return sorted({*COMMANDS, *_registry().commands()})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of that name, imported now."""
        target = COMMANDS.get(cmd_name)
        if target is None:
            return _registry().command(cmd_name)
        module, _, attribute = target.partition(":")
        command: click.Command = getattr(import_module(module), attribute)
        return command


def _registry() -> "Registry":
    from tickerd.runtime.registry import Registry

    return Registry.installed()


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog=EXIT_CODES,
)
@click.version_option(__version__, prog_name="tickerd")
def cli() -> None:
    """tickerd turns one Kite Connect login into a dependable tick feed for every program you run.

    \b
    Examples:
      tickerd check tickerd.yaml        is the configuration right?
      tickerd run -c tickerd.yaml       run it
      tickerd simulate                  a Kite Connect to try it against
    """


def main(**arguments: Any) -> None:
    """The console script."""
    cli(prog_name="tickerd", **arguments)
