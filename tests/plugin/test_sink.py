"""What a sink need not write itself."""

from collections.abc import Sequence
from typing import Any

import pytest

from tickerd.plugin import Batch, Reject, ServingSink, Sink


class Least(Sink):
    def __init__(self, options: Any, ctx: Any) -> None: ...

    async def write(self, batch: Batch) -> Sequence[Reject]:
        return ()


async def test_opening_closing_and_resuming_have_defaults() -> None:
    sink = Least(None, None)
    async with sink as opened:
        assert opened is sink
    assert sink.resume_from() is None


def test_what_must_be_written_is_asked_for() -> None:
    for kind, missing in ((Sink, "write"), (ServingSink, "run")):
        with pytest.raises(TypeError, match=missing):
            kind()  # type: ignore[abstract]


def test_defaults_fit_the_shape() -> None:
    assert (Sink.overflow, Sink.delivery, Sink.replace) == ("drop_oldest", "durable", "beside")
    assert (ServingSink.overflow, ServingSink.delivery, ServingSink.replace) == ("conflate", "live", "beside")
