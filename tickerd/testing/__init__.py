"""For the tests of plugin authors: contexts to run a plugin in, and checks that every plugin must pass.

Names are imported at their first use, because pytest imports this package in every environment that has
tickerd installed, also where no test uses it.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tickerd.testing.auth import FakeAuthContext, FakeKeys, check_rate_limiter
    from tickerd.testing.conformance import check_batch, check_codec, check_plugin, check_sink, check_source
    from tickerd.testing.fakes import (
        FakeContext,
        FakeDemand,
        FakeInstruments,
        stamped,
    )
    from tickerd.testing.hosts import START_DEADLINE_S, STOP_DEADLINE_S, running, writing
    from tickerd.testing.samples import sample_batches, sample_records, sample_rows
    from tickerd.testing.serving import FakeServingContext, FakeSubscription

__all__ = [
    "START_DEADLINE_S",
    "STOP_DEADLINE_S",
    "FakeAuthContext",
    "FakeContext",
    "FakeDemand",
    "FakeInstruments",
    "FakeKeys",
    "FakeServingContext",
    "FakeSubscription",
    "check_batch",
    "check_codec",
    "check_plugin",
    "check_rate_limiter",
    "check_sink",
    "check_source",
    "running",
    "sample_batches",
    "sample_records",
    "sample_rows",
    "stamped",
    "writing",
]

_MODULES = ("fakes", "hosts", "samples", "auth", "conformance", "serving")


def __getattr__(name: str) -> Any:
    if name in __all__:
        for module in _MODULES:
            found = getattr(import_module(f"{__name__}.{module}"), name, None)
            if found is not None:
                return found
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
