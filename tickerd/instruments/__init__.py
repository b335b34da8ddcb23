"""Who is who: the instrument table, what selectors mean in it, and suggestions for misspelt symbols."""

from tickerd.instruments.book import SelectorBook
from tickerd.instruments.selection import Scope, Selection
from tickerd.instruments.suggest import suggest
from tickerd.instruments.table import InstrumentTable, Namespace

__all__ = ["InstrumentTable", "Namespace", "Scope", "Selection", "SelectorBook", "suggest"]
