"""The replay source's options."""

from typing import Annotated, Literal

from pydantic import Field

from tickerd.plugin import Duration, Options, option


class ReplayOptions(Options):
    """What to play, and how fast."""

    paths: list[Annotated[str, Field(min_length=1)]] = option(
        min_length=1,
        doc="Files to play, as glob patterns (** is any depth), from the working directory or absolute.",
    )
    speed: Annotated[float, Field(gt=0, allow_inf_nan=False)] | Literal["max"] = option(
        1.0, doc="1 is the recorded pace, 10 is ten times faster, max is flat out."
    )
    max_pause: Duration | None = option(
        None, gt=0, doc="Longest silence of the recording that is kept, before speed; by default all are."
    )
    loop: bool = option(False, doc="Begin again at the end.")
    order: Literal["position", "time"] = option(
        "position", doc="How files are merged; time is for recordings of different daemons."
    )
    stamps: Literal["recorded", "now"] = option(
        "recorded",
        doc="recorded keeps ts_recv, source and connection as recorded; now gives them anew, as if live.",
    )
    records: bool = option(True, doc="Also play the control records that the files hold.")
