"""Which unit the running code belongs to."""

from contextvars import ContextVar

CURRENT_UNIT: ContextVar[str] = ContextVar("tickerd_unit", default="")
"""The name of the unit as written in the YAML; empty in the core.

The supervisor sets it at the start of each unit's task. Child tasks and worker threads inherit it, so that a
log line, or the watchdog looking at a blocked task, can say whose code it is.
"""
