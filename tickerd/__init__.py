"""tickerd turns one broker login into a dependable tick feed for every program its owner runs."""

from importlib.metadata import version as _version

__version__ = _version("tickerd")
