"""How instruments are written down: what is taken, what is refused in which words, and that it reads back."""

from datetime import date

import pytest
from pydantic import TypeAdapter, ValidationError

from tickerd.plugin import InstrumentKey, InstrumentKeys, Match, Options, option
from tickerd.plugin.selectors import is_pattern, parse_key, parse_keys

KEY = TypeAdapter(InstrumentKey)


class Section(Options):
    keys: InstrumentKeys = option(doc="Keys.")


@pytest.mark.parametrize("written", ["NSE:NIFTY*", "*:INFY", "N?E:A*B*C*", "NSE:??"])
def test_patterns_are_taken(written):
    assert KEY.validate_python(written) == written
    assert is_pattern(written)


@pytest.mark.parametrize(
    ("written", "words"),
    [
        ("NIFTY*", "expected a pattern such as 'NSE:NIFTY\\*'"),
        ("nse:NIFTY*", "expected a pattern such as 'NSE:NIFTY\\*'"),
        ("NSE:*A*B*C*D*", "a pattern has at most 4 of '\\*' and '\\?'"),
        ("NSE:" + "A" * 200, "expected an instrument"),
        ({"match": {}}, "needs at least one of exchange, segment, name"),
        ({"match": {"expiry": "soon"}}, "expected a date such as '2026-11-24'"),
        ({"match": {"expiry": "2026-13-01"}}, "expected a date"),
        ({"match": {"expiry": {}}}, "expected 'nearest', 'next', a date, or 'from' and 'to'"),
        ({"match": {"expiry": {"from": "2026-12-01", "to": "2026-11-01"}}}, "'to' is before 'from'"),
        ({"match": {"strike": {"around": "money"}}}, "'around: money' and 'count' go together"),
        ({"match": {"strike": {"count": 5}}}, "'around: money' and 'count' go together"),
        ({"match": {"strike": {"underlying": "NSE:X"}}}, "'underlying' goes with 'around: money'"),
        ({"match": {"strike": {}}}, "expected a strike, 'from' and 'to', or 'around' and 'count'"),
        ({"match": {"strike": {"from": 5, "to": 4}}}, "'to' is below 'from'"),
    ],
)  # fmt: skip
def test_what_cannot_be_meant_is_refused_in_words(written, words):
    with pytest.raises(ValidationError, match=words):
        KEY.validate_python(written)


def test_an_unknown_key_is_told_at_its_place():
    with pytest.raises(ValidationError) as caught:
        Section.model_validate({"keys": ["NSE:A", {"match": {"exchang": "NFO"}}]})
    (error,) = caught.value.errors()
    assert error["type"] == "extra_forbidden"
    assert error["loc"][-2:] == ("match", "exchang")


@pytest.mark.parametrize(
    "match",
    [
        {"exchange": ["NFO"], "name": ["NIFTY"], "expiry": "nearest"},
        {"strike": 26000.0, "expiry": "2026-11-24"},
        {"strike": {"from": 1.0}, "expiry": {"to": "2026-11-24"}},
        {"strike": {"from": 1.0, "to": 2.0}, "expiry": {"from": "2026-11-24", "to": "2026-11-25"}},
        {"strike": {"around": "money", "count": 10, "underlying": "NSE:NIFTY 50"}},
        {"expiry": {"pick": "next", "from": "2026-11-24"}},
    ],
)
def test_what_is_written_out_reads_back_the_same(match):
    section = Section(keys=["NSE:A", {"match": match}, 5])
    plain = section.model_dump(mode="json")
    assert plain["keys"] == ["NSE:A", {"match": match}, 5]
    assert Section.model_validate(plain) == section
    assert hash(section.keys) == hash(Section.model_validate_json(section.model_dump_json()).keys)


def test_one_word_is_a_list_of_one_and_each_counts_once():
    assert Match(exchange="NFO", name=["A", "A"]) == Match(exchange=("NFO",), name=("A",))
    keys = Section(keys=["NSE:A", {"match": {"name": "A"}}, {"match": {"name": ["A"]}}, "NSE:A"]).keys
    assert keys == ("NSE:A", Match(name="A"))


def test_yaml_makes_dates_by_itself():
    assert Match(expiry=date(2026, 11, 24)) == Match(expiry="2026-11-24")


def test_a_match_is_shown_as_one_would_write_it():
    match = Match(exchange="NFO", name=("NIFTY", "BANKNIFTY"), expiry="nearest", strike=26000)
    assert str(match) == "{exchange: NFO, name: [NIFTY, BANKNIFTY], strike: 26000, expiry: nearest}"


def test_a_match_says_what_it_follows():
    assert not Match(name="A").follows_day
    assert Match(expiry="next").follows_day
    assert not Match(strike=5).follows_price
    assert Match(strike={"around": "money", "count": 1}).follows_price


def test_keys_come_out_of_plain_values():
    values = ["NSE:A", "5", {"match": {"name": "A"}}, 5]
    assert parse_keys(values) == ("NSE:A", 5, Match(name="A"))
    with pytest.raises(ValueError, match="expected an instrument"):
        parse_key("A")


def test_the_schema_takes_what_the_model_takes():
    import jsonschema

    schema = Section.model_json_schema(by_alias=True)
    good = ["NSE:NIFTY 50", "NSE:N*", 5, {"match": {"exchange": "NFO", "expiry": "nearest", "strike": 5}}]
    jsonschema.validate({"keys": good}, schema)
    for bad in ("A", 0, {"match": {"exchang": "NFO"}}, {"match": {"expiry": "soon"}}):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate({"keys": [bad]}, schema)
