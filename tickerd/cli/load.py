"""Loading a configuration for a command that is about to run it: problems are shown and end the process."""

import os
import sys
from pathlib import Path

import click
from pydantic import TypeAdapter, ValidationError

from tickerd.config import Compiled, ConfigError, load
from tickerd.config.problem import EXIT_CODE
from tickerd.plugin import Duration
from tickerd.runtime.registry import Registry

_duration = TypeAdapter[float](Duration)


def load_or_exit(file: Path) -> tuple[Compiled, Registry]:
    """The compiled file and the plugins that it names; warnings go to standard error."""
    registry = Registry.installed()
    try:
        compiled = load(file, registry, os.environ)
    except ConfigError as error:
        click.echo(str(error), err=True)
        sys.exit(EXIT_CODE)
    for warning in compiled.warnings:
        click.echo(warning.text("warning"), err=True)
    return compiled, registry


def seconds_or_usage(text: str, name: str) -> float:
    """A duration from the command line."""
    try:
        return _duration.validate_python(text)
    except ValidationError as error:
        raise click.BadParameter(error.errors()[0]["msg"], param_hint=name) from None
