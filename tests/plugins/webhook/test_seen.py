"""What has been reported is remembered, within limits."""

from tickerd_plugins.webhook.seen import Seen


def test_an_id_is_new_once():
    seen = Seen(10)
    assert seen.is_new("a", 0)
    assert not seen.is_new("a", 10)
    assert seen.is_new("b", 10)


def test_after_its_time_it_is_forgotten():
    seen = Seen(10)
    assert seen.is_new("a", 0)
    assert seen.is_new("a", 10.1)
    assert len(seen) == 1


def test_a_repetition_does_not_lengthen_the_time():
    seen = Seen(10)
    seen.is_new("a", 0)
    seen.is_new("a", 9)
    assert seen.is_new("a", 11)


def test_beyond_its_room_the_oldest_is_forgotten():
    seen = Seen(10, most=3)
    for name in "abcd":
        assert seen.is_new(name, 0)
    assert len(seen) == 3
    assert [seen.is_new(name, 0) for name in "bcd"] == [False, False, False]
    assert seen.is_new("a", 0)
