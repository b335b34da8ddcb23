"""Who is who: the instrument table, and suggestions for misspelt symbols."""

from tickerd.instruments.suggest import suggest
from tickerd.instruments.table import InstrumentTable, Namespace

__all__ = ["InstrumentTable", "Namespace", "suggest"]
