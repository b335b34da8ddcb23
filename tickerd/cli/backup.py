"""`tickerd backup` and `tickerd restore`: the state directory and the configuration as one file, and back."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tickerd.cli.place import plain_errors

if TYPE_CHECKING:
    from tickerd.state.archive import Manifest
    from tickerd.state.backup import ConfigFiles

_Path = click.Path(path_type=Path)
_KEEP_SECRET = "it holds keys and logins: keep it as secret as the state directory"  # noqa: S105 - no password


@click.command()
@click.argument("target", metavar="FILE", type=_Path)
@click.option("-c", "--config", "file", type=_Path, help="The YAML file; it goes into the backup.")
@click.option("--state", type=_Path, help="The state directory, where no YAML file says it.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")
def backup(target: Path, file: Path | None, state: Path | None, as_json: bool) -> None:
    """Write state, keys and configuration into one FILE; the daemon may be running.

    In it are the state file as it is at one moment, the pepper of the keys, the epoch, what each source and sink
    keeps, and the configuration with conf.d. Not in it are the journal, recorded ticks, and what references
    (credentials, environment, files) stand for.

    \b
    Examples:
      tickerd backup -c /etc/tickerd/tickerd.yaml /backup/tickerd-2026-11-23.tar
      tickerd backup --state /var/lib/tickerd /backup/state.tar
    """
    from tickerd import __version__
    from tickerd.state.backup import back_up, utc_now

    directory, config = _meant(file, state)
    with plain_errors(OSError):
        try:
            manifest = back_up(target, directory, config, version=__version__, now=utc_now())
        except FileExistsError:
            text = f"{target}: is there already; a backup never replaces another, choose another name"
            raise click.ClickException(text) from None
    if as_json:
        click.echo(_json(manifest))
    else:
        click.echo(f"{target}: {_summary(manifest)}")
        click.echo(_KEEP_SECRET, err=True)


@click.command()
@click.argument("source", metavar="FILE", type=_Path)
@click.option("--state", type=_Path, help="The state directory to restore into.")
@click.option("--config-dir", type=_Path, help="Where the configuration goes; else it stays in FILE.")
@click.option("--force", is_flag=True, help="Also where something is; that is moved aside, not deleted.")
@click.option("--check", "only_check", is_flag=True, help="Only look whether FILE is whole.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")
def restore(
    source: Path, state: Path | None, config_dir: Path | None, force: bool, only_check: bool, as_json: bool
) -> None:
    """Put a backup into an empty state directory. tickerd must not run on it.

    All of FILE is checked before anything is touched. A backup of an older tickerd is brought up to date; one of
    a newer is refused. Numbers of runs go on 1,000 further, so that no position is ever given out twice.

    \b
    Examples:
      tickerd restore --check tickerd-2026-11-23.tar
      tickerd restore --state /var/lib/tickerd --config-dir /etc/tickerd tickerd-2026-11-23.tar
    """
    from tickerd.state import StateLocked
    from tickerd.state.archive import ArchiveError
    from tickerd.state.backup import inspect, utc_now
    from tickerd.state.backup import restore as put_back

    if only_check == (state is not None):
        raise click.UsageError("say where it shall go with --state DIR, or only look with --check")
    with plain_errors(ArchiveError, StateLocked, OSError):
        if state is None:
            manifest = inspect(source)
            click.echo(_json(manifest) if as_json else f"{source}: whole; {_summary(manifest)}")
            return
        who = f"uid {os.getuid()}"
        done = put_back(source, state, config_dir, force=force, now=utc_now(), who=who)
    if as_json:
        moved = None if done.moved_aside is None else str(done.moved_aside)
        click.echo(_json(done.manifest, epoch=done.epoch, moved_aside=moved))
        return
    click.echo("\n".join(_told(done, state, config_dir)))


def _told(done: Any, state: Path, config_dir: Path | None) -> Iterator[str]:
    yield f"restored into {state}: {_summary(done.manifest)}"
    if done.moved_aside is not None:
        yield f"what was there is in {done.moved_aside}"
    if done.manifest.config_file is not None:
        where = "stayed in the backup; --config-dir DIR brings it back"
        yield f"the configuration {where if config_dir is None else f'is in {config_dir}'}"
    yield "not part of a backup: the journal, recorded ticks, and what the configuration's references stand for"
    if os.geteuid() == 0 and state.stat().st_uid == 0:
        yield f"all of it belongs to root: give it to the daemon's user with chown -R tickerd: {state}"


def _meant(file: Path | None, state: Path | None) -> "tuple[Path, ConfigFiles | None]":
    """The state directory, and the files of the configuration."""
    if file is None:
        if state is None:
            raise click.UsageError("say what to back up: -c FILE or --state DIR")
        return state, None
    from tickerd.cli.load import load_or_exit
    from tickerd.state.backup import ConfigFiles

    settings = load_or_exit(file)[0].settings
    others = [path for path in sorted((file.parent / "conf.d").glob("*.yaml")) if path.name[0] != "."]
    if settings.calendar.overrides is not None:
        others.append(settings.calendar.overrides)
    return state or settings.state.dir, ConfigFiles(file, others)


def _summary(manifest: "Manifest") -> str:
    size = sum(member.size for member in manifest.files)
    made = f"of tickerd {manifest.tickerd}, made {manifest.created}"
    return f"{len(manifest.files)} files, {size:,} bytes, {made}, state of version {manifest.schema}"


def _json(manifest: "Manifest", **more: Any) -> str:
    import msgspec

    data = msgspec.to_builtins(manifest) | more
    return msgspec.json.format(msgspec.json.encode(data)).decode()
