"""One at a time: Python 3.11 fails when two threads make syntax trees at the same moment.

"AST constructor recursion depth mismatch" is what the loser gets. Werkzeug compiles its routes from syntax trees, and
pydantic reads the docstrings of fields out of them: who makes an application, or describes one in a thread, holds this.
"""

import threading

SYNTAX = threading.Lock()
"""Held for the length of either."""
