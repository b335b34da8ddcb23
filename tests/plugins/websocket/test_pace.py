"""How often one client may ask."""

from tickerd_plugins.websocket.pace import ERRORS, Bucket, Errors


def test_a_bucket_gives_what_it_holds_then_makes_wait_then_refuses() -> None:
    bucket = Bucket(2, 3, 0)
    assert [bucket.take(0) for _ in range(6)] == [0, 0, 0, 0.5, 1.0, 1.5]
    assert bucket.take(0) == 1.5, "what was refused was charged"
    assert bucket.take(10) == 0


def test_what_costs_much_waits_longer() -> None:
    bucket = Bucket(1, 3, 0)
    assert bucket.take(0, 3) == 0
    assert bucket.take(0, 6) == 6


def test_so_many_errors_in_such_a_time_are_too_many() -> None:
    errors = Errors()
    assert [errors.too_many(now) for now in range(ERRORS)] == [False] * (ERRORS - 1) + [True]
    assert not errors.too_many(100)
