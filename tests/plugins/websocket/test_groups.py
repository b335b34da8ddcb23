"""Who gets which rows; the groups against a plain model."""

import random
from collections.abc import Sequence

import pytest

from tickerd.plugin import Batch, Mode, Row
from tickerd.testing import stamped
from tickerd_plugins.websocket.encoding import ENCODINGS, JSON, MSGPACK, Body
from tickerd_plugins.websocket.groups import IDENT, PIECE, ROWS, SEQ, Groups, Kind
from tickerd_plugins.websocket.groups import Row as Sent
from tickerd_plugins.websocket.rows import WIDTH

LIVE = Kind(ENCODINGS[JSON], False, 0.0)
ALL = Kind(ENCODINGS[JSON], True, 0.0)


class Member:
    """Remembers what it was given."""

    def __init__(self, kind: Kind = LIVE) -> None:
        self.kind = kind
        self.got: list[Sent] = []
        self.bodies: list[Body] = []

    def deliver(self, rows: Sequence[Sent], bodies: Sequence[Body]) -> None:
        self.got += rows
        self.bodies += bodies

    @property
    def seqs(self) -> list[int]:
        return [row[SEQ] for row in self.got]


def ticks(first: int, *tokens: int, namespace: str = "n") -> Batch:
    batch = stamped(Batch.of([Row(token, mode="full", last_price=1.0) for token in tokens]), first)
    assert batch.origin is not None
    batch.origin.namespace = namespace
    return batch


def fly(groups: Groups) -> None:
    for group in groups.due((0.0,)):
        flight = group.take(groups.position)
        if flight is not None:
            for _ in flight:
                pass
        group.flight = None


def test_each_gets_what_it_wants_in_its_mode() -> None:
    groups, one, two = Groups(), Member(), Member(ALL)
    groups.change(one, {1: "ltp", 2: "full"})
    groups.change(two, {2: "quote"})
    groups.route([ticks(1, 1, 2, 3), ticks(4, 2)])
    fly(groups)
    assert [(row[IDENT], row[SEQ], row[PIECE].count(b",") + 1) for row in one.got] == [
        (1, 1, WIDTH["ltp"]),
        (2, 4, WIDTH["full"]),
    ]
    assert two.seqs == [2, 4]
    assert groups.position == 4


def test_equal_tokens_of_two_namespaces_are_two_instruments() -> None:
    groups, one = Groups(), Member()
    groups.ident("n", 0)
    groups.change(one, {groups.ident("other", 1): "ltp"})
    groups.route([ticks(1, 1), ticks(2, 1, namespace="other")])
    fly(groups)
    assert one.seqs == [2]


def test_members_alike_are_put_together_and_share_what_they_get() -> None:
    groups, members = Groups(), [Member() for _ in range(3)]
    for member in members:
        groups.change(member, {1: "ltp"})
        groups.change(member, {2: "ltp"})
    assert len(groups) == 3
    groups.settle()
    assert len(groups) == 1
    groups.route([ticks(1, 1, 2)])
    fly(groups)
    assert members[0].bodies[0] is members[2].bodies[0]
    groups.change(members[0], {3: "ltp"})
    groups.route([ticks(3, 3)])
    fly(groups)
    assert [len(member.got) for member in members] == [3, 2, 2]


def test_rows_that_were_shown_already_are_not_sent_again() -> None:
    groups, member = Groups(), Member(ALL)
    groups.change(member, {1: "ltp"})
    groups.route([ticks(1, 1, 2)])
    groups.change(member, {2: "ltp"}, floor=5)
    groups.route([ticks(3, 2, 1), ticks(5, 2), ticks(6, 2, 1)])
    fly(groups)
    assert member.seqs == [1, 4, 6, 7]
    groups.route([ticks(8, 2)])
    fly(groups)
    assert member.seqs[-1] == 8


def test_with_a_floor_that_has_passed_members_are_still_put_together() -> None:
    groups, one, two = Groups(9), Member(), Member()
    groups.change(one, {1: "ltp"}, floor=9)
    groups.change(two, {1: "ltp"}, floor=11)
    groups.settle()
    assert len(groups) == 2
    groups.route([ticks(10, 5, 6)])
    groups.settle()
    assert len(groups) == 1


def test_who_changes_in_the_middle_of_a_flight_is_given_it_first() -> None:
    groups, members = Groups(), [Member() for _ in range(3)]
    for member in members:
        groups.change(member, {1: "ltp", 2: "ltp"})
    groups.settle()
    groups.route([ticks(1, 1, 2)])
    (group,) = groups.due((0.0,))
    flight = group.take(groups.position)
    assert flight is not None
    steps = iter(flight)
    next(steps)
    groups.change(members[2], {1: None})
    groups.leave(members[1])
    assert (members[2].seqs, members[1].seqs) == ([1, 2], [])
    assert list(steps) == []
    group.flight = None
    groups.route([ticks(3, 1, 2)])
    fly(groups)
    assert (members[0].seqs, members[2].seqs) == ([1, 2, 3, 4], [1, 2, 4])


def test_what_was_let_go_is_not_sent_any_more_even_if_it_waits() -> None:
    for kind in (LIVE, ALL):
        groups, member = Groups(), Member(kind)
        groups.change(member, {1: "ltp", 2: "ltp"})
        groups.route([ticks(1, 1, 2)])
        groups.change(member, {1: None})
        fly(groups)
        assert member.seqs == [2]


def test_many_rows_go_out_in_several_frames() -> None:
    groups, member = Groups(), Member(Kind(ENCODINGS[MSGPACK], True, 0.0))
    groups.change(member, {1: "ltp"})
    groups.route([ticks(1, *[1] * (2 * ROWS + 1))])
    fly(groups)
    assert [body.rows for body in member.bodies] == [ROWS, ROWS, 1]


@pytest.mark.parametrize("seed", range(20))
def test_whatever_comes_and_goes_each_has_got_what_a_plain_model_says(seed: int) -> None:
    draw = random.Random(seed)
    groups = Groups()
    members = {Member(draw.choice((LIVE, ALL))): dict[int, Mode]() for _ in range(6)}
    expected: dict[Member, list[int]] = {member: [] for member in members}
    seq = 0
    for _ in range(300):
        member = draw.choice(list(members))
        action = draw.random()
        if action < 0.3:
            token, mode = draw.randrange(1, 5), draw.choice(("ltp", "full", None))
            if mode is None and token not in members[member]:
                continue
            groups.change(member, {token: mode})
            if mode is None:
                del members[member][token]
            else:
                members[member][token] = mode
        elif action < 0.35:
            groups.leave(member)
            members[member] = {}
        elif action < 0.5:
            groups.settle()
        else:
            tokens = [draw.randrange(1, 6) for _ in range(draw.randrange(1, 4))]
            groups.route([ticks(seq + 1, *tokens)])
            for one, wants in members.items():
                last = {token: place for place, token in enumerate(tokens)}
                expected[one] += [
                    seq + 1 + place
                    for place, token in enumerate(tokens)
                    if token in wants and (one.kind is ALL or last[token] == place)
                ]
            seq += len(tokens)
            fly(groups)
    for one, wanted in expected.items():
        assert sorted(one.seqs) == wanted
    for one in members:
        groups.leave(one)
    assert (len(groups), groups._groups, groups._settled, groups._unsettled) == (0, {}, {}, {})
    assert all(not takers for _, takers in groups._channels.values())
