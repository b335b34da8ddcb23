"""Lets a sink's type adapt the options that every sink has: its own defaults, and what does not go together."""

from typing import Any

from tickerd.config.problem import Path
from tickerd.config.report import Report
from tickerd.config.settings import SINK_RESERVED, SinkOptions
from tickerd.plugin import OptionConflict, ServingSink, Sink


def adapted(
    report: Report, path: Path, reserved: SinkOptions, kind: type[Sink] | type[ServingSink], options: Any
) -> SinkOptions | None:
    """The reserved options as the sink's type wants them; None with the report told why not.

    Args:
        path: of the sink's section.
        reserved: as they were written, validated.
        options: the plugin's own.
    """
    if not issubclass(kind, Sink):
        return reserved
    section = report.value(path) or {}
    written = {name: value for name, value in section.items() if name in SINK_RESERVED}
    try:
        return SinkOptions.model_validate(kind.common(options, written))
    except OptionConflict as conflict:
        report.problem((*path, *conflict.option.split(".")), conflict.text, conflict.hint or "")
    except Exception as error:  # noqa: BLE001 - a plugin is foreign code; its text may hold a secret
        text = f"the plugin fails on the common options with {type(error).__name__}"
        report.problem((*path, "use"), text, "this is a mistake in the plugin")
    return None
