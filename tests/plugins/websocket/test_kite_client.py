"""What a client that cannot take a frame is given later: the newest packet of each instrument, and no more."""

from tickerd.plugin import Principal
from tickerd.wire.kite import KITE
from tickerd_plugins.websocket.frames import binary
from tickerd_plugins.websocket.kite_client import KiteClient
from tickerd_plugins.websocket.kite_fan import frames, part

INFY, TCS = 408_065, 2_953_217


class Link:
    """A connection that can be clogged."""

    id = "1"
    last_sent = 0.0

    def __init__(self) -> None:
        self.is_open, self.clogged, self.taken = True, False, list[bytes]()

    def offer(self, *parts: bytes) -> bool:
        if self.clogged or not self.is_open:
            return False
        self.taken.append(b"".join(parts))
        return True

    def send(self, *parts: bytes) -> None:
        raise AssertionError("ticks may be merged, so they are offered")

    def packets(self) -> list[bytes]:
        found = [KITE.split(one[2:] if one[1] < 126 else one[4:]) for one in self.taken]
        assert not any(one.faults for one in found)
        return [packet for one in found for packet in one.packets]


def client() -> tuple[KiteClient, Link]:
    link = Link()
    return KiteClient(link, Principal(id="key 1", scopes=frozenset({"ticks:read"})), 3000), link


def ltp(token: int, price: int) -> bytes:
    return token.to_bytes(4) + price.to_bytes(4)


def parts(*packets: bytes) -> list[bytes]:
    return [part(one, "ltp") for one in packets]


def test_a_frame_that_others_get_too_is_handed_on_as_the_same_object() -> None:
    one, link = client()
    ready = [binary(frame) for frame in frames(parts(ltp(INFY, 1)))]
    one.deliver(ready, parts(ltp(INFY, 1)))
    assert link.taken[0] is ready[0]


def test_what_waits_is_merged_counted_and_handed_over_in_one_frame() -> None:
    one, link = client()
    link.clogged = True
    for price in (1, 2, 3):
        one.show(parts(ltp(INFY, price), ltp(TCS, 10 * price)))
    one.show(parts(ltp(INFY, 4), ltp(INFY, 5)))
    assert link.taken == []
    link.clogged = False
    one.catch_up()
    assert link.packets() == [ltp(INFY, 5), ltp(TCS, 30)]
    assert len(link.taken) == 1
    assert one.merged == 6
    one.catch_up()
    assert len(link.taken) == 1


def test_it_may_be_clogged_again_before_it_took_what_waits() -> None:
    one, link = client()
    link.clogged = True
    one.show(parts(ltp(INFY, 1)))
    one.catch_up()
    one.show(parts(ltp(TCS, 1)))
    link.clogged = False
    one.catch_up()
    assert link.packets() == [ltp(INFY, 1), ltp(TCS, 1)]


def test_what_it_no_longer_wants_is_not_kept_for_it() -> None:
    one, link = client()
    link.clogged = True
    one.show(parts(ltp(INFY, 1), ltp(TCS, 1)))
    one.forget([INFY, 5])
    link.clogged = False
    one.catch_up()
    assert link.packets() == [ltp(TCS, 1)]


def test_for_one_that_has_gone_nothing_is_kept() -> None:
    one, link = client()
    link.is_open = False
    one.show(parts(ltp(INFY, 1)))
    assert (one._waiting, one.merged) == ({}, 0)
