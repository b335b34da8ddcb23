"""``tickerd schema``: prints the JSON Schema of the configuration file."""

import click


@click.command(
    epilog="""
\b
Examples:
  tickerd schema > tickerd.schema.json

\b
In the first line of a YAML file, for editors with a YAML language server:
  # yaml-language-server: $schema=./tickerd.schema.json
"""
)
def schema() -> None:
    """Print the JSON Schema of the whole file, made from the installed plugins."""
    import json

    from tickerd.config.schema import schema as make
    from tickerd.runtime.registry import Registry

    click.echo(json.dumps(make(Registry.installed()), indent=2, ensure_ascii=False))
