"""Where each value of the configuration was written."""

from collections.abc import Iterator

from tickerd.config.nodes import Mapping, Place
from tickerd.config.problem import Path, dotted


def origins(root: Mapping) -> dict[str, str]:
    """Dotted path → ``FILE:LINE`` of its key, for every value that was written; lists count as one value.

    Args:
        root: of the document; what came from ``conf.d`` names its own file.
    """
    return {dotted(path): f"{place.file}:{place.line}" for path, place in _written(root, ())}


def _written(mapping: Mapping, above: Path) -> Iterator[tuple[Path, Place]]:
    for key, entry in mapping.entries.items():
        path = (*above, key)
        if isinstance(entry.value, Mapping) and entry.value.entries:
            yield from _written(entry.value, path)
        else:
            yield path, entry.key
