"""Where the control API of a configuration listens, read from the file alone: nothing is resolved or imported."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import click

if TYPE_CHECKING:
    from tickerd.config.nodes import Node

_ANY = {"0.0.0.0": "127.0.0.1", "[::]": "[::1]"}  # noqa: S104 - what is listened on, not where we do


class Listening(NamedTuple):
    """One entry of ``control.listen``."""

    address: str
    """``unix:/PATH``, ``http://HOST:PORT`` or ``https://HOST:PORT``."""
    is_narrowed: bool
    """Whether it says itself which scopes it gives."""

    @property
    def is_unix(self) -> bool:
        """Whether no key is needed."""
        return self.address.startswith("unix:")


def listening(file: Path) -> list[Listening]:
    """Those of a file, Unix sockets first, and of these those that may do everything.

    Raises:
        click.ClickException: the file is none, or has no control API.
    """
    from tickerd.cli.client import SOCKET
    from tickerd.config import ConfigError, load_document
    from tickerd.config.nodes import Scalar, child, children

    try:
        root = load_document(file).root
    except ConfigError as error:
        raise WrongFile(str(error)) from None
    section = child(root, "control")
    if section is None or isinstance(section, Scalar):
        raise click.ClickException(f"{file} has no section 'control', so that its daemon cannot be asked")
    listen = child(section, "listen")
    if listen is None:
        return [Listening(f"unix:{SOCKET}", is_narrowed=False)]
    entries: list[Node] = [listen] if isinstance(listen, Scalar) else [entry for _, entry in children(listen)]
    return sorted(_all(entries), key=lambda one: (not one.is_unix, one.is_narrowed))


class WrongFile(click.ClickException):
    """The file cannot be read as YAML."""

    exit_code = 78

    def show(self, file: object = None) -> None:
        """As ``tickerd check`` shows it."""
        del file
        click.echo(self.message, err=True)


def _all(entries: "list[Node]") -> Iterator[Listening]:
    from tickerd.config.nodes import Scalar, child

    for entry in entries:
        written = entry if isinstance(entry, Scalar) else child(entry, "address")
        address = written.value if isinstance(written, Scalar) else None
        if isinstance(address, str) and address:
            yield Listening(
                _url(address, is_tls=child(entry, "tls") is not None), child(entry, "scopes") is not None
            )


def _url(address: str, *, is_tls: bool) -> str:
    if address.startswith("unix:"):
        return address
    host, _, port = address.rpartition(":")
    return f"{'https' if is_tls else 'http'}://{_ANY.get(host, host)}:{port}"
