"""`tickerd completion`: prints the script that makes a shell complete tickerd's commands and options."""

import click
from click.shell_completion import get_completion_class


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print the completion script for SHELL.

    \b
    Examples:
      tickerd completion bash > /etc/bash_completion.d/tickerd
      eval "$(tickerd completion zsh)"
    """
    found = get_completion_class(shell)
    if found is None:
        raise click.ClickException(f"no completion for {shell!r}")
    click.echo(found(ctx.find_root().command, {}, "tickerd", "_TICKERD_COMPLETE").source())
