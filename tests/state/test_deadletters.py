"""Dead letters: kept, capped, listed, offered again, dropped."""

import pytest

from tickerd.plugin import Instrument, Position
from tickerd.state import deadletters
from tickerd.state.deadletters import (
    Caps,
    KeptLetter,
    add,
    finish,
    page,
    request_redrive,
    take_redrives,
    totals,
)


def ids(connection, sink="archive"):
    return [line.id for line in page(connection, sink)]


def figures(connection, sink="archive"):
    """The totals, which triggers keep, must be what a count would find."""
    (found,) = (one for one in totals(connection) if one.sink == sink)
    query = "SELECT count(*), coalesce(sum(size), 0) FROM dead_letters WHERE sink = ?"
    assert (found.letters, found.bytes) == connection.execute(query, (sink,)).fetchone()
    return found


def test_a_letter_comes_back_as_it_went_in(connection, letter):
    kept = letter(
        message_id="msg_1", response=b"410\xff", payload=b"\x81", payload_form="msgpack", attempts=3
    )
    add(connection, [kept])
    (number,) = ids(connection)
    fields = {name: getattr(kept, name) for name in kept.__dataclass_fields__}
    assert deadletters.get(connection, "archive", number) == KeptLetter(id=number, **fields)
    assert deadletters.get(connection, "other", number) is None
    assert deadletters.get(connection, "archive", number + 1) is None


def test_a_control_record_has_no_instrument(connection, letter):
    add(connection, [letter(kind="gap", instrument=None, payload=None)])
    assert page(connection, "archive")[0].symbol is None
    found = deadletters.get(connection, "archive", 1)
    assert (found.kind, found.instrument, found.payload) == ("gap", None, None)


def test_a_record_that_is_refused_again_stays_one_letter(connection, letter):
    add(connection, [letter(7, attempts=2, reason="first", first_ns=1, last_ns=2)])
    request_redrive(connection, "archive", now_ns=3)
    add(connection, [letter(7, attempts=3, reason="a longer second", first_ns=4, last_ns=5, payload=b"{}")])
    found = deadletters.get(connection, "archive", 1)
    assert (found.attempts, found.reason, found.first_ns, found.last_ns) == (5, "a longer second", 1, 5)
    assert (found.payload, found.redrive_requested_ns) == (b"{}", None)
    assert figures(connection).letters == 1


def test_equal_positions_of_two_sinks_are_two_letters(connection, letter):
    add(connection, [letter(1), letter(1, sink="other")])
    assert [(one.sink, one.letters) for one in totals(connection)] == [("archive", 1), ("other", 1)]


def test_beyond_the_count_the_oldest_go_and_are_counted(connection, letter):
    assert add(connection, [letter(seq) for seq in range(1, 6)], Caps(letters=3)) == 2
    assert add(connection, [letter(6)], Caps(letters=3)) == 1
    assert [line.seq for line in page(connection, "archive")] == [4, 5, 6]
    assert figures(connection).removed == 3


def test_beyond_the_bytes_the_oldest_go_of_that_sink_alone(connection, letter):
    add(connection, [letter(1, sink="other", payload=b"x" * 50_000)])
    caps = Caps(bytes=35_000)
    removed = [add(connection, [letter(seq, payload=b"x" * 10_000)], caps) for seq in range(1, 6)]
    assert removed == [0, 0, 0, 1, 1]
    assert figures(connection).bytes <= caps.bytes
    assert figures(connection, "other").letters == 1


def test_caps_hold_even_when_a_single_letter_is_over_them(connection, letter):
    assert add(connection, [letter(1), letter(2)], Caps(bytes=10)) == 2
    assert figures(connection)[1:] == (0, 0, 2, 0)
    assert add(connection, [letter(3)], Caps(letters=0)) == 1


def test_what_is_too_long_is_cut_and_a_payload_that_is_too_long_left_out(connection, letter):
    add(connection, [letter(reason="r" * 9999, response=b"x" * 9999, payload=b"p" * 2**21)])
    found = deadletters.get(connection, "archive", 1)
    assert len(found.reason) == deadletters.LONGEST_REASON
    assert len(found.response) == deadletters.LONGEST_RESPONSE
    assert found.payload is None


def test_a_reason_with_half_a_surrogate_is_kept_readable(connection, letter):
    add(connection, [letter(reason="bad \udcff byte")])
    assert page(connection, "archive")[0].reason == "bad \\udcff byte"


def test_pages_go_from_the_oldest_to_the_newest(connection, letter):
    add(connection, [letter(seq) for seq in range(1, 6)])
    first = page(connection, "archive", limit=2)
    second = page(connection, "archive", after=first[-1].id, limit=2)
    assert [line.seq for line in (*first, *second)] == [1, 2, 3, 4]
    assert page(connection, "archive", limit=-1) == []
    assert page(connection, "nobody") == []


def test_dropping_by_ranges_and_all(connection, letter):
    add(connection, [letter(seq) for seq in range(1, 8)] + [letter(1, sink="other")])
    assert deadletters.count(connection, "archive", [(1, 1), (3, 4)]) == 3
    assert deadletters.drop(connection, "archive", [(1, 1), (3, 4), (90, 99)]) == 3
    assert ids(connection) == [2, 5, 6, 7]
    assert deadletters.newest(connection, "archive") == 7
    assert deadletters.drop(connection, "archive") == 4
    assert (ids(connection), ids(connection, "other")) == ([], [8])
    assert figures(connection).letters == 0
    assert (deadletters.newest(connection, "archive"), deadletters.count(connection, "archive")) == (0, 0)


def test_the_id_of_a_letter_that_is_gone_is_never_used_again(connection, letter):
    add(connection, [letter(1)])
    deadletters.drop(connection, "archive")
    add(connection, [letter(2)])
    assert ids(connection) == [2]


def test_a_redrive_is_taken_until_it_is_finished(connection, letter):
    add(connection, [letter(seq) for seq in (3, 1, 2)] + [letter(1, sink="other")])
    assert take_redrives(connection, "archive") == []
    assert request_redrive(connection, "archive", [(1, 2)], now_ns=50) == 2
    assert request_redrive(connection, "archive", now_ns=60) == 1, "only those that were not asked for yet"
    taken = take_redrives(connection, "archive", limit=2)
    assert [one.position for one in taken] == [Position(1, 1), Position(1, 2)]
    assert taken[0].redrive_requested_ns == 50
    assert take_redrives(connection, "archive", limit=2) == taken, "a crash before finish loses nothing"
    assert figures(connection).redrives == 3

    assert finish(connection, taken[0].id, True, now_ns=70)
    assert finish(connection, taken[1].id, False, reason="still no", response=b"422", now_ns=80)
    assert [one.position.seq for one in take_redrives(connection, "archive")] == [3]
    left = deadletters.get(connection, "archive", taken[1].id)
    assert (left.attempts, left.reason, left.response, left.last_ns) == (2, "still no", b"422", 80)
    assert (figures(connection).letters, figures(connection).redrives) == (2, 1)


def test_finishing_a_letter_that_was_dropped_meanwhile_is_no_error(connection):
    assert not finish(connection, 99, True, now_ns=1)
    assert not finish(connection, 99, False, now_ns=1)


def test_the_size_follows_the_texts(connection, letter):
    add(connection, [letter(reason="ü" * 10, response=b"x" * 10)])
    before = figures(connection).bytes
    finish(connection, 1, False, reason="ü" * 20 + "\udcff", response=b"x" * 5000, now_ns=1)
    assert figures(connection).bytes == before + 20 + 6 + 4096 - 10


def test_no_text_is_ever_taken_for_sql(connection, hostile, letter, dump):
    before = dump(connection)[""]
    add(connection, [letter(1, sink="bystander")])
    instrument = Instrument("kite", 1, "NSE", hostile, name=hostile)
    fields = {"kind": hostile, "message_id": hostile, "reason": hostile, "payload_form": hostile}
    add(
        connection,
        [
            letter(
                2,
                sink=hostile,
                instrument=instrument,
                response=hostile.encode(),
                payload=hostile.encode(),
                **fields,
            )
        ],
    )
    assert request_redrive(connection, hostile, now_ns=1) == 1
    (found,) = take_redrives(connection, hostile)
    assert (found.sink, found.kind, found.message_id, found.payload_form) == (hostile,) * 4
    assert found.reason == hostile[: deadletters.LONGEST_REASON]
    assert found.payload == hostile.encode()
    assert found.instrument == instrument
    assert page(connection, hostile)[0].symbol == f"NSE:{hostile}"
    assert finish(connection, found.id, False, reason=hostile, response=hostile.encode(), now_ns=1)
    assert figures(connection, hostile).letters == 1
    assert deadletters.drop(connection, hostile) == 1
    assert ids(connection, "bystander") == [1]
    assert dump(connection)[""] == before


@pytest.mark.parametrize("sink", ["%", "_rchive", "ARCHIVE", "archive\x00"])
def test_names_match_exactly(connection, letter, sink):
    add(connection, [letter(1)])
    assert page(connection, sink) == []
    assert deadletters.drop(connection, sink) == 0
