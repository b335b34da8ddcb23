"""Text frames, from the broker and from clients."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tickerd.plugin import AnyRecord, Gap, Notice, Order
from tickerd.wire.kite.text import Request, frame, record, request, set_mode, subscribe, unsubscribe

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)
DEEP = "[" * 5_000 + "]" * 5_000


def read(text: str | bytes) -> AnyRecord:
    return record(text, source="kite", connection=2, ts_recv=7)


def test_an_order_update_keeps_everything_the_broker_sent() -> None:
    data = {"order_id": "1", "status": "COMPLETE", "meta": {}, "price": 10.05, "tags": None}
    assert read(json.dumps({"type": "order", "data": data})) == Order(
        source="kite", connection=2, ts_recv=7, data=data
    )


@pytest.mark.parametrize("kind", ["error", "message"])
@pytest.mark.parametrize("data", ["text", {"code": 1}, None, [1]])
def test_errors_and_messages_are_notices_whatever_they_hold(kind: str, data: object) -> None:
    found = read(json.dumps({"type": kind, "data": data}))
    assert isinstance(found, Notice)
    assert (found.kind, found.data) == (kind, data)


@pytest.mark.parametrize(
    "message",
    [
        {"type": "instruments_meta", "data": {"count": 1}},
        {"type": "order", "data": "text"},
        {"type": 5},
        {"type": []},
        {},
    ],
)
def test_other_types_are_kept_whole_as_unknown(message: dict[str, object]) -> None:
    found = read(json.dumps(message))
    assert isinstance(found, Notice)
    assert (found.kind, found.data) == ("unknown", message)


@pytest.mark.parametrize(
    "text",
    ["", "hello", "{", '"text"', "[1]", "null", DEEP, b"\xff\xfe", '{"type":"order","data":' + DEEP + "}"],
)
def test_what_is_no_json_object_is_unknown_and_cut(text: str | bytes) -> None:
    found = read(text)
    assert isinstance(found, Notice)
    assert (found.kind, found.source, found.connection, found.ts_recv) == ("unknown", "kite", 2, 7)
    assert len(found.data["data"]) <= 2_100


@given(st.text() | st.binary() | JSON.map(json.dumps))
def test_no_text_from_the_broker_makes_it_raise(text: str | bytes) -> None:
    assert read(text).ts_recv == 7


def test_requests_are_written_as_the_broker_reads_them() -> None:
    assert json.loads(subscribe([1, 2])) == {"a": "subscribe", "v": [1, 2]}
    assert json.loads(unsubscribe({3})) == {"a": "unsubscribe", "v": [3]}
    assert json.loads(set_mode("full", (4,))) == {"a": "mode", "v": ["full", [4]]}


@given(st.lists(st.integers(0, 2**32 - 1)), st.sampled_from(["ltp", "quote", "full"]))
def test_what_was_written_reads_back(tokens: list[int], mode: str) -> None:
    assert request(subscribe(tokens)) == Request("subscribe", tuple(tokens))
    assert request(unsubscribe(tokens).encode()) == Request("unsubscribe", tuple(tokens))
    assert request(set_mode(mode, tokens)) == Request("mode", tuple(tokens), mode)


def test_spaces_and_other_keys_do_not_matter() -> None:
    assert request('{ "v" : [ 408065 ] , "x": {}, "a" : "subscribe" }') == Request("subscribe", (408_065,))


@pytest.mark.parametrize(
    "tokens",
    [
        '["408065"]',
        "[408065.0]",
        "[true, false]",
        "[null]",
        "[[1]]",
        "[-1]",
        "[4294967296]",
        f"[{10**40}]",
        "[]",
    ],
)
def test_tokens_that_are_no_token_numbers_are_left_out_silently(tokens: str) -> None:
    assert request(f'{{"a":"subscribe","v":{tokens}}}') == Request("subscribe", ())


def test_the_good_tokens_beside_bad_ones_count() -> None:
    assert request('{"a":"mode","v":["ltp",[1,"2",3,-4]]}') == Request("mode", (1, 3), "ltp")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "not a JSON object"),
        ("hello", "not a JSON object"),
        ("[]", "not a JSON object"),
        (DEEP, "not a JSON object"),
        ('{"a":"subscribe","v":' + DEEP + "}", "not a JSON object"),
        ("{}", "expected a of subscribe"),
        ('{"a":"subscribe"}', "expected a of subscribe"),
        ('{"a":"subscribe","v":408065}', "expected a of subscribe"),
        ('{"a":"order","v":[1]}', "expected a of subscribe"),
        ('{"a":["subscribe"],"v":[1]}', "expected a of subscribe"),
        ('{"a":"mode","v":[1]}', "expected a mode of ltp, quote or full"),
        ('{"a":"mode","v":["deep",[1]]}', "expected a mode of ltp, quote or full"),
        ('{"a":"mode","v":["full",1]}', "expected a of subscribe"),
        ('{"a":"mode","v":[5,[1]]}', "expected a mode of ltp, quote or full"),
    ],
    ids=range(14),
)
def test_what_is_no_request_is_refused_with_the_reason(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        request(text)


@given(st.text() | st.binary() | JSON.map(json.dumps))
def test_no_text_from_a_client_raises_anything_but_value_error(text: str | bytes) -> None:
    try:
        found = request(text)
    except ValueError:
        return
    assert found.action in ("subscribe", "unsubscribe", "mode")


@pytest.mark.parametrize(
    ("tokens", "found"),
    [
        ('["408065",256265]', (408065, 256265)),
        ('["0","4294967295","4294967296","99999999999"]', (0, 4294967295)),
        ('["","-1","+1"," 1","1.0","1e3","\\u0661","0x1",null,true]', ()),
    ],
)
def test_numerals_count_as_tokens_for_who_asks_for_it(tokens: str, found: tuple[int, ...]) -> None:
    assert request(f'{{"a":"subscribe","v":{tokens}}}', numerals=True).tokens == found


@pytest.mark.parametrize(
    "sent",
    [
        '{"type":"order","data":{"order_id":"1","price":12.5,"tag":null}}',
        '{"type":"order","data":{}}',
        '{"type":"error","data":"something is wrong"}',
        '{"type":"message","data":{"text":"hello"}}',
        '{"type":"instruments_meta","data":{"count":5}}',
    ],
)
def test_what_the_broker_sent_is_passed_on_as_it_was(sent: str) -> None:
    assert frame(record(sent, connection=1, ts_recv=1)) == sent


@pytest.mark.parametrize(
    ("sent", "passed_on"),
    [
        ('{"type":"error","data":{"code":5}}', '{"type":"error","data":"{\\"code\\":5}"}'),
        ('{"type":"error"}', '{"type":"error","data":"null"}'),
        ('{"type":"order","data":7}', None),
        ('{"TYPE":"error","data":7}', None),
        ('{"type":"new","TYPE":"error","data":7}', '{"type":"new","data":7}'),
        ('{"type":{"error":1}}', None),
        ("hello", None),
        ("[]", None),
    ],
)
def test_nothing_is_passed_on_that_ends_the_go_client(sent: str, passed_on: str | None) -> None:
    assert frame(record(sent, connection=1, ts_recv=1)) == passed_on


def test_an_order_that_was_found_after_an_outage_is_told_like_any_other() -> None:
    assert frame(Order(data={"order_id": "1"}, reconciled=True)) == '{"type":"order","data":{"order_id":"1"}}'


def test_records_of_our_own_have_no_frame() -> None:
    assert frame(Gap(reason="reset")) is None
