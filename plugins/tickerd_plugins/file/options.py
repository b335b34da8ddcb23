"""The file sink's options."""

from typing import Literal

from pydantic import ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from tickerd.plugin import Duration, Options, Size, option
from tickerd.wire.compression import SUFFIXES, Compression
from tickerd_plugins.file.template import Format, Template, format_of, parse


class FileOptions(Options):
    """Where ticks are written, how, and how long they are kept."""

    path: str = option(
        doc="File to write, absolute or from the daemon's working directory. {date}, {exchange} and {symbol} "
        "are filled in; a path without {date} gets it before its extension."
    )
    format: Format | None = option(None, doc="jsonl or csv; by default what the path's extension says.")
    compress: Compression | None = option(
        None, doc="none, gzip or zstd, which add .gz or .zst to the name; by default what the path ends in."
    )
    rotate_size: Size | None = option(
        None, gt=0, doc="Begin a new file (name.1.jsonl, name.2.jsonl, ...) when one has reached this size."
    )
    keep: Duration | None = option(None, gt=0, doc="Delete files this long after their day has ended.")
    max_size: Size | None = option(
        None, gt=0, doc="Delete the oldest files when all of this sink's together are larger than this."
    )
    sync: Literal["never", "batch"] = option(
        "never", doc="batch: flush to the disk after each batch, so that even a power cut loses nothing."
    )

    @field_validator("path")
    @classmethod
    def _path(cls, path: str) -> str:
        try:
            parse(path)
        except ValueError as error:
            raise PydanticCustomError("path", str(error)) from None
        return path

    @field_validator("format")
    @classmethod
    def _format(cls, value: Format | None, info: ValidationInfo) -> Format | None:
        path = info.data.get("path")
        value = value or (None if path is None else format_of(path))
        if value is None and path is not None:
            raise PydanticCustomError("format", "say jsonl or csv: the path ends in neither .jsonl nor .csv")
        return value

    @field_validator("compress")
    @classmethod
    def _compress(cls, value: Compression | None, info: ValidationInfo) -> Compression:
        path = str(info.data.get("path", ""))
        if value is not None:
            return value
        return next((kind for kind, suffix in SUFFIXES.items() if suffix and path.endswith(suffix)), "none")

    @property
    def compression(self) -> Compression:
        """``compress``, which is never None once it has been validated."""
        return self.compress or "none"

    def template(self) -> Template:
        """The compiled path."""
        return parse(self.path, SUFFIXES[self.compression])
