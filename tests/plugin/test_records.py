"""Control records: what each is called, and how each is written."""

from typing import get_args

import msgspec
import pytest

from tickerd.plugin import RECORD_KINDS, AnyRecord, Gap, Record, record_kind
from tickerd.testing import sample_records


def test_every_record_has_a_kind_that_yaml_can_name() -> None:
    kinds = {str(kind.__struct_config__.tag) for kind in get_args(AnyRecord)}
    assert kinds == set(RECORD_KINDS)
    assert set(get_args(AnyRecord)) == set(Record.__subclasses__())


@pytest.mark.parametrize("record", sample_records(), ids=record_kind)
def test_a_record_survives_json(record: AnyRecord) -> None:
    text = msgspec.json.encode(record)
    again = msgspec.json.decode(text, type=AnyRecord)
    assert msgspec.json.encode(again) == text
    assert type(again) is type(record)
    assert msgspec.json.decode(text)["record"] == record_kind(record)


def test_unknown_stays_null() -> None:
    written = msgspec.json.decode(msgspec.json.encode(Gap(reason="disconnected")))
    assert written == {
        "record": "gap",
        "reason": "disconnected",
        "source": None,
        "connection": None,
        "ts_recv": 0,
        "epoch": 0,
        "seq": 0,
        "since_ns": None,
        "until_ns": None,
        "after": None,
        "instruments": "all",
        "lost": None,
    }
