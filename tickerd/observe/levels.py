"""Log levels, and a logger class whose level can be changed while it is in use."""

import logging

import structlog
from structlog import BoundLoggerBase
from structlog.typing import FilteringBoundLogger

LEVELS = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
    "critical": logging.CRITICAL,
}
PRIORITIES = {"debug": 7, "info": 6, "warning": 4, "error": 3, "critical": 2}
"""What syslog and systemd call them."""


def level_number(level: str) -> int:
    """The number of a level's name; raises `ValueError` with the names there are."""
    try:
        return LEVELS[level.lower()]
    except KeyError:
        raise ValueError(f"unknown log level {level!r}, choose one of {', '.join(LEVELS)}") from None


class LevelSwitch:
    """Makes one logger class and switches its level.

    structlog's filtering loggers are one class for each level, whose methods below it do nothing; a logger
    made of one stays with it. Here there is one class, and switching replaces its methods, so that loggers
    bound long before obey at once and a filtered call still costs no more than an empty function.
    """

    def __init__(self, level: str) -> None:
        self._class = type("TickerdLogger", (BoundLoggerBase,), {})
        self.level = ""
        self.switch(level)

    @property
    def logger_class(self) -> type[FilteringBoundLogger]:
        """For ``structlog.configure(wrapper_class=…)``."""
        return self._class

    def switch(self, level: str) -> None:
        """Write lines of this level and above from now on."""
        number = level_number(level)
        for name, method in vars(structlog.make_filtering_bound_logger(number)).items():
            if not name.startswith("_"):
                setattr(self._class, name, method)
        self.level = level.lower()
