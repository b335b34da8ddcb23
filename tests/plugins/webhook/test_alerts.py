"""Alerts on ticks: by instrument, not on doubtful ticks, and going on after a restart."""

import msgspec
import pytest

from tickerd.plugin import OUT_OF_ORDER, SUSPICIOUS, Batch, Instrument, Row
from tickerd.testing import stamped
from tickerd_plugins.webhook.alerts import Alerts, alert
from tickerd_plugins.webhook.when import parse

TABLE = {1: Instrument("kite", 1, "NSE", "INFY"), 2: Instrument("kite", 2, "NSE", "TCS")}
CROSSES = parse("last_price crosses 100")
ABOVE = parse("last_price > 100")


def tick(price, token=1, flags=(), marks=0, table=TABLE):
    batch = Batch.of([Row(token, last_price=price, flags=flags)], ts_recv=5)
    batch.marks = {0: marks} if marks else {}
    return stamped(batch, instruments=table).ticks[0]


def test_each_instrument_is_judged_by_itself():
    alerts = Alerts([CROSSES])
    assert alerts.fired(tick(90)) == []
    assert alerts.fired(tick(110, token=2)) == []
    assert alerts.fired(tick(110)) == [CROSSES]
    assert alerts.fired(tick(90, token=2)) == [CROSSES]


def test_one_tick_may_set_off_several():
    alerts = Alerts([CROSSES, ABOVE])
    alerts.fired(tick(90))
    found = alerts.fired(tick(110))
    assert found == [CROSSES, ABOVE]
    said = msgspec.json.decode(msgspec.json.encode(alert(tick(110), found)))
    assert said["fired"] == ["last_price crosses 100", "last_price > 100"]
    assert (said["symbol"], said["tick"]["last_price"]) == ("NSE:INFY", 110)


@pytest.mark.parametrize(
    "doubtful",
    [
        {"marks": OUT_OF_ORDER},
        {"marks": SUSPICIOUS},
        {"flags": ("out_of_order",)},
        {"flags": ("suspicious",)},
    ],
)
def test_doubtful_ticks_set_off_nothing_and_are_not_remembered(doubtful):
    alerts = Alerts([CROSSES])
    alerts.fired(tick(90))
    assert alerts.fired(tick(110, **doubtful)) == []
    assert alerts.fired(tick(95)) == []


def test_what_is_remembered_outlives_a_restart():
    before = Alerts([CROSSES, ABOVE])
    before.fired(tick(90))
    before.fired(tick(110, token=2, table={}))
    after = Alerts([ABOVE, CROSSES, parse("oi > 1")])
    after.restore(before.kept())
    assert after.fired(tick(110)) == [ABOVE, CROSSES]
    assert after.fired(tick(110, token=2, table={})) == []


@pytest.mark.parametrize("kept", [b"", b"x", b"\x81\xa1x\x01", b"\xff" * 9])
def test_what_it_did_not_write_is_told(kept):
    with pytest.raises(ValueError, match="not the bytes"):
        Alerts([CROSSES]).restore(kept)


def test_there_may_be_none():
    assert not Alerts([])
    assert Alerts([ABOVE])


def test_it_remembers_so_many_instruments(monkeypatch):
    monkeypatch.setattr("tickerd_plugins.webhook.alerts.MOST", 2)
    alerts = Alerts([CROSSES])
    for token in (1, 2, 3):
        alerts.fired(tick(90, token=token, table={}))
    assert alerts.fired(tick(110, token=1, table={})) == []  # forgotten
    assert alerts.fired(tick(110, token=3, table={})) == [CROSSES]
