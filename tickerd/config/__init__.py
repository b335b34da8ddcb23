"""From YAML to settings: document (values with their places) → references → compile → frozen settings."""

from tickerd.config.compile import Compiled, PluginTypes, compile_settings, load
from tickerd.config.document import Document, load_document, parse_document
from tickerd.config.problem import EXIT_CODE, ConfigError, PluginProblem, Problem
from tickerd.config.settings import (
    SINK_RESERVED,
    SOURCE_RESERVED,
    BatchSettings,
    CalendarSettings,
    JournalSettings,
    LimitSettings,
    LogSettings,
    RetrySettings,
    Settings,
    SinkSettings,
    SourceSettings,
    StateSettings,
    SubscribeEntry,
)

__all__ = [
    "EXIT_CODE",
    "SINK_RESERVED",
    "SOURCE_RESERVED",
    "BatchSettings",
    "CalendarSettings",
    "Compiled",
    "ConfigError",
    "Document",
    "JournalSettings",
    "LimitSettings",
    "LogSettings",
    "PluginProblem",
    "PluginTypes",
    "Problem",
    "RetrySettings",
    "Settings",
    "SinkSettings",
    "SourceSettings",
    "StateSettings",
    "SubscribeEntry",
    "compile_settings",
    "load",
    "load_document",
    "parse_document",
]
