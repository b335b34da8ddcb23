"""From YAML to settings: document (values with their places) → references → compile → frozen settings."""

from tickerd.config.access import AuthSettings, ControlSettings, HooksSettings, RateLimitSettings
from tickerd.config.compile import Compiled, compile_settings, load
from tickerd.config.document import Document, load_document, parse_document
from tickerd.config.plugin_types import PluginTypes
from tickerd.config.posted import compile_posted, plugin_names
from tickerd.config.problem import EXIT_CODE, ConfigError, PluginProblem, Problem
from tickerd.config.settings import (
    SINK_RESERVED,
    SOURCE_RESERVED,
    BatchSettings,
    BreakerSettings,
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
    "AuthSettings",
    "BatchSettings",
    "BreakerSettings",
    "CalendarSettings",
    "Compiled",
    "ConfigError",
    "ControlSettings",
    "Document",
    "HooksSettings",
    "JournalSettings",
    "LimitSettings",
    "LogSettings",
    "PluginProblem",
    "PluginTypes",
    "Problem",
    "RateLimitSettings",
    "RetrySettings",
    "Settings",
    "SinkSettings",
    "SourceSettings",
    "StateSettings",
    "SubscribeEntry",
    "compile_posted",
    "compile_settings",
    "load",
    "load_document",
    "parse_document",
    "plugin_names",
]
