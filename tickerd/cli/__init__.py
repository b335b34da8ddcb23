"""The command line: each command lives in a module of its own, imported when it is called."""

from tickerd.cli.main import main

__all__ = ["main"]
